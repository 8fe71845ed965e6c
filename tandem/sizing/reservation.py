"""Say what a gateway reserves for a request at a decode endpoint: it knows a prompt's bytes and not its tokens."""

from __future__ import annotations

from typing import Final

from runtime.gateway.request.chat import BYTES_PER_TOKEN, DEFAULT_MAX_TOKENS

TEXT_BYTES_PER_TOKEN: Final = 4
"""Bytes of text in a prompt token, by which the gateway's estimate is off: byte-pair vocabularies on English."""


def answer_limit(answer: float) -> float:
    """Return the answer tokens that a client is taken to have asked for: no limit, unless the answer is longer."""
    return max(answer, DEFAULT_MAX_TOKENS)


def estimated_tokens(prompt: float, limit: float, context: float) -> float:
    """Return the tokens that the gateway takes a prompt for, which leave room for an answer of ``limit``."""
    return max(1, min(context - limit, prompt * TEXT_BYTES_PER_TOKEN // BYTES_PER_TOKEN))
