"""Turn text and chats into token ids, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Tokenizer:
    """Encode and decode as the model's authors do."""

    stop_ids: frozenset[int]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text``; the text of a control token becomes that token."""
        raise NotImplementedError

    def chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the prompt of OpenAI chat ``messages``; raise ``ValueError`` on a shape the model cannot take."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids`` without control tokens."""
        raise NotImplementedError


class Detokenizer:
    """Decode token by token, never emitting half a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        raise NotImplementedError

    def push(self, token: int) -> str:
        """Return the text that ``token`` completes, possibly none."""
        raise NotImplementedError

    def flush(self) -> str:
        """Return what is left at the end."""
        raise NotImplementedError
