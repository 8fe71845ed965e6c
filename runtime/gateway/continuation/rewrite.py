"""Write the rest of an answer as if it came from the stream that broke."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from runtime.gateway.continuation.progress import Progress, said

_DONE: Final = b"[DONE]"
_TOLD: Final = ("finish_reason", "token_ids", "logprobs")
"""What a choice may tell without any text."""


class Rewriter:
    """Turn the events of a continuation into those of the first stream, whose prompt had ``prompt_tokens``.

    ``before`` tokens were decoded elsewhere: for the client they are part of the answer, not of the prompt. What it
    reads is a ``chat``, or a completion of text, whichever of them the continuation is.
    """

    def __init__(self, progress: Progress, *, prompt_tokens: int, before: int, chat: bool) -> None:
        self._chat = chat
        self._head = progress.head
        self._spoken = progress.spoken
        self._prompt_tokens = prompt_tokens
        self._before = before

    def event(self, data: bytes) -> bytes:
        """Return an event, empty where the client has it already; raise ``ValueError`` where it is none."""
        if data == _DONE:
            return _event(_DONE)
        try:
            chunk: dict[str, Any] = json.loads(data)
            choices = [rewritten for choice in chunk["choices"] if (rewritten := self._choice(choice))]
            if chunk["choices"] and not choices:
                return b""
            return self._encoded(chunk, choices)
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"no chunk of an answer: {type(error).__name__}") from error

    def ending(self, reason: str | None, *, usage: bool) -> Iterator[bytes]:
        """Yield the end of an answer of which nothing but that is missing; ``reason`` where it was not told."""
        if reason:
            choice = {"index": 0, **self._content({}), "logprobs": None, "finish_reason": reason}
            yield self._encoded({}, [choice])
        if usage:
            yield self._encoded({"usage": {"completion_tokens": 0}}, [])
        yield _event(_DONE)

    def _choice(self, choice: Mapping[str, Any]) -> dict[str, Any] | None:
        delta = dict(said(choice))
        if self._spoken:
            delta.pop("role", None)
        self._spoken = self._spoken or "role" in delta
        if not any(delta.values()) and not any(choice.get(name) for name in _TOLD):
            return None
        kept = {name: value for name, value in choice.items() if name not in ("text", "delta")}
        return {"index": 0, **self._content(delta), **kept}

    def _content(self, delta: Mapping[str, Any]) -> dict[str, Any]:
        if self._chat:
            return {"delta": {name: value for name, value in delta.items() if value}}
        return {"text": delta.get("content") or ""}

    def _encoded(self, chunk: Mapping[str, Any], choices: list[dict[str, Any]]) -> bytes:
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        body = {**chunk, "object": kind, **self._head, "choices": choices}
        if body.get("usage"):
            body["usage"] = self._usage(body["usage"])
        return _event(json.dumps(body, separators=(",", ":")).encode())

    def _usage(self, told: Mapping[str, Any]) -> dict[str, Any]:
        written = int(told["completion_tokens"]) + self._before
        total = self._prompt_tokens + written
        return {**told, "prompt_tokens": self._prompt_tokens, "completion_tokens": written, "total_tokens": total}


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
