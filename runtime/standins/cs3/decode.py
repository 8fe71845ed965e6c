"""Decode answers from imported KV, all in one thread: each answer in turn computes one token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Any, Final

from runtime.gateway.routing.deadline import Deadline
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError
from runtime.standins.cs3 import logprobs
from runtime.standins.cs3.chat import ChatRequest, invalid
from runtime.standins.cs3.imports import Imported
from runtime.standins.cs3.stop import StopStrings
from runtime.standins.cs3.time_limit import exceeded
from runtime.standins.engine.engine import Engine, Generation
from runtime.standins.engine.tokenizer import Detokenizer

OK: Final = "ok"
CANCELLED: Final = "cancelled"


class Answer:
    """Iterate over an answer's text; a token is computed only when the reader took the one before.

    ``thread`` has one worker and serves submissions in order, so that answers take turns and none runs ahead of its
    client. A reader that stops iterating costs at most the token under way. ``outcome`` is ``cancelled`` until the
    answer has ended (``ok``) or failed (an error code).
    """

    def __init__(
        self, engine: Engine, thread: Executor, chat: ChatRequest, imported: Imported, deadline: Deadline
    ) -> None:
        self._tokenizer = engine.tokenizer
        self.completion_tokens = len(chat.received)
        self.finish_reason: str | None = None
        self.outcome = CANCELLED
        self._thread = thread
        self._deadline = deadline
        self._fresh: list[int] = []
        self._top_logprobs, self._told = chat.top_logprobs, list[dict[str, Any]]()
        self._tokens = _begun(engine, chat, imported)
        self._text = Detokenizer(engine.tokenizer)
        self._stops = StopStrings(chat.stop)
        for token in chat.received:  # whose text the client has, but for what is held back
            self._stops.push(self._text.push(token))
        if self._stops.found:
            self._finish("stop")  # which was yet to be said
        self._prompt_tokens = len(imported.prompt) - len(chat.received)
        self._import_seconds = imported.phases.seconds
        self._asked = self._began = time.perf_counter()

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield pieces of text, none empty.

        Raise ``HandoffError``: ``decode_failed`` if the engine fails, ``deadline_exceeded`` once nobody waits any more.
        """
        while self.finish_reason is None:
            if self._deadline.left(time.monotonic()) == 0:
                self.outcome = Code.DEADLINE_EXCEEDED.value
                raise exceeded()
            if piece := await asyncio.get_running_loop().run_in_executor(self._thread, self._advance):
                yield piece

    def fresh_token_ids(self) -> list[int]:
        """Return the tokens decoded since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def fresh_logprobs(self) -> dict[str, Any] | None:
        """Return what is to be told of the tokens decoded since the last call, None where that is not asked for."""
        if self._top_logprobs is None:
            return None
        told, self._told = self._told, []
        return {"content": told}

    def usage(self) -> dict[str, object]:
        """Return ``usage`` as OpenAI has it and ``time_info`` as Cerebras has it, in seconds.

        Importing the KV takes the place of computing it, so it is the prompt time.
        """
        queued, decoding = self._began - self._asked, time.perf_counter() - self._began
        return {
            "usage": {
                "prompt_tokens": self._prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self._prompt_tokens + self.completion_tokens,
            },
            "time_info": {
                "queue_time": queued,
                "prompt_time": self._import_seconds,
                "completion_time": decoding,
                "total_time": self._import_seconds + queued + decoding,
            },
        }

    def _advance(self) -> str:
        if self._tokens.logits is None:
            self._began = time.perf_counter()
        try:
            token = next(self._tokens, None)
        except Exception as error:  # whatever the engine fails with, the client must be told in the contract's words
            self.outcome = Code.DECODE_FAILED.value
            raise HandoffError(Code.DECODE_FAILED, f"decoding failed: {error}") from error
        if token is None:
            return self._end()
        self.completion_tokens += 1
        self._fresh.append(token)
        if self._top_logprobs is not None and self._tokens.logits is not None:
            self._told.append(logprobs.of(token, self._tokens.logits, self._top_logprobs, self._tokenizer))
        piece = self._stops.push(self._text.push(token))
        if self._stops.found:
            self._finish("stop")
        return piece

    def _end(self) -> str:
        piece = self._stops.push(self._text.flush()) + self._stops.flush()
        self._finish("stop" if self._stops.found else self._tokens.finish_reason)
        return piece

    def _finish(self, reason: str | None) -> None:
        self.finish_reason, self.outcome = reason, OK


def _begun(engine: Engine, chat: ChatRequest, imported: Imported) -> Generation:
    """Return the tokens that follow; raise ``HandoffError`` (``invalid_request``) where the answer so far is none."""
    answered = len(chat.received)
    try:
        return engine.generate(
            imported.prompt, imported.cache, chat.sampling, max_tokens=imported.max_tokens, answered=answered
        )
    except ValueError as error:
        raise invalid(f"{fields.RECEIVED}: {error}") from error
