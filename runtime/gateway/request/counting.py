"""Count a prompt's tokens: exactly where that is worth its time, by a bound or an estimate elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any, Final

from runtime.gateway.request.chat import Chat, estimate_tokens, token_ids
from runtime.gateway.request.text import Text, text_of
from runtime.gateway.request.tokenizer import Tokenizer

SHORT_BYTES: Final = 256
"""So many bytes are taken for as many tokens: never too few, and to count them would take a fifth of a request's CPU
time to save the memory of 200 tokens."""
AT_ONCE_BYTES: Final = 2048
"""So many are counted where they are, in about half a millisecond; more of them beside the event loop."""
LONGEST_TOKEN_BYTES: Final = 8
"""More bytes than this for each token of the context are not counted: few texts of that length fit, and what nobody
will answer must not take the time of what somebody waits for."""
MOST_WAITING: Final = 4
"""So many prompts wait to be counted; while they do, others are estimated: none waits long, whoever sent the rest."""


class How(StrEnum):
    """Enumerate where a number of tokens comes from."""

    IDS = "ids"
    TOKENIZER = "tokenizer"
    BYTES = "bytes"
    ESTIMATE = "estimate"


Counted = tuple[int, How]


class Counter:
    """Count by ``tokenizer``, or estimate without one.

    ``max_model_len`` is what the context holds, ``decisive`` the least number of tokens by which something is decided.
    """

    def __init__(self, tokenizer: Tokenizer | None, *, max_model_len: int, decisive: int) -> None:
        self._tokenizer = tokenizer
        self._decisive = decisive
        self._most_bytes = max_model_len * LONGEST_TOKEN_BYTES
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        self._waiting = 0

    def count(self, chat: Chat) -> Counted | Coroutine[Any, Any, Counted]:
        """Return how many tokens the prompt takes, and how that is known: to be awaited where it takes long."""
        if ids := token_ids(chat.body, chat.path):
            return len(ids), How.IDS
        if self._tokenizer is None:
            return estimate_tokens(chat.body, chat.path), How.ESTIMATE
        return self._by(self._tokenizer, text_of(chat.body, chat.path), chat)

    def _by(self, tokenizer: Tokenizer, text: Text, chat: Chat) -> Counted | Coroutine[Any, Any, Counted]:
        size = len(text.text.encode())
        if tokenizer.byte_level and size <= SHORT_BYTES and size + text.around < self._decisive:
            return size + text.around, How.BYTES
        if size > self._most_bytes or self._waiting >= MOST_WAITING:
            return estimate_tokens(chat.body, chat.path), How.ESTIMATE
        if size <= AT_ONCE_BYTES:
            return tokenizer.count(text.text) + text.around, How.TOKENIZER
        return self._beside(tokenizer, text)

    async def _beside(self, tokenizer: Tokenizer, text: Text) -> Counted:
        """Count beside the event loop."""
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, tokenizer.count, text.text) + text.around, How.TOKENIZER
        finally:
            self._waiting -= 1
