"""Shape answers as OpenAI does, for chats and for texts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Count the tokens of a request."""

    prompt_tokens: int
    completion_tokens: int

    def body(self) -> dict[str, int]:
        """Return OpenAI's ``usage``."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Make the bodies of one answer, whole or in chunks."""

    id: str
    model: str
    chat: bool
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(
        self, text: str, finish_reason: str | None, usage: Usage, token_ids: list[int] | None = None
    ) -> dict[str, Any]:
        """Return the body of an answer that is not streamed; with its tokens' ids where they are asked for."""
        content = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason, **_ids(token_ids)}
        return self._body("", [choice]) | {"usage": usage.body()}

    def opening(self) -> dict[str, Any]:
        """Return the first chunk of a chat, which only names the role."""
        return self._chunk({"delta": {"role": "assistant", "content": ""}}, None)

    def piece(self, text: str, finish_reason: str | None = None, token_ids: list[int] | None = None) -> dict[str, Any]:
        """Return a chunk of text; the last one says why the answer ended."""
        content = {"delta": {"content": text} if text else {}} if self.chat else {"text": text}
        return self._chunk({**content, **_ids(token_ids)}, finish_reason)

    def closing(self, usage: Usage) -> dict[str, Any]:
        """Return the chunk that only holds the usage."""
        return self._body(".chunk", []) | {"usage": usage.body()}

    def _chunk(self, content: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
        return self._body(".chunk", [{"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}])

    def _body(self, suffix: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = f"chat.completion{suffix}" if self.chat else "text_completion"
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}


def _ids(token_ids: list[int] | None) -> dict[str, list[int]]:
    return {} if token_ids is None else {"token_ids": token_ids}
