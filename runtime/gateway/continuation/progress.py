"""Read from a stream's events how far it came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from runtime.gateway.sse.events import Events

_THOUGHT: Final = frozenset({"reasoning", "reasoning_content"})
"""What comes before the answer proper, under vLLM's name of today or the one before."""
_PLAIN: Final = frozenset({"role", "content"}) | _THOUGHT


@dataclass(slots=True)
class Progress:
    """Hold what the client has: the ``ids`` of all tokens whose text it was sent, and what else not to say twice."""

    head: Mapping[str, Any] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    spoken: bool = False
    """Whether the role was told."""
    finish_reason: str | None = None
    counted: bool = False
    """Whether the usage was told."""
    thinking: bool = False
    """Whether reasoning came and nothing of the answer proper: what is told apart then is in a parser that is gone."""

    @classmethod
    def read(cls, kept: Iterable[bytes], received: Sequence[int] = ()) -> Self | None:
        """Return how far a stream came, None where that cannot be known: text without ids, tools, half a reasoning.

        What was ``received`` came before it, in a stream of another gateway.
        """
        progress, pending = cls(ids=list(received), spoken=bool(received)), list[int]()
        try:
            for data in _data(kept):
                if not progress._take(json.loads(data), pending):
                    return None
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        return None if progress.thinking and not progress.finish_reason else progress

    @classmethod
    def told(cls, kept: Iterable[bytes], received: Sequence[int] = ()) -> Self | None:
        """Return how far a stream came whose tokens another endpoint takes up: all that were told, whatever they are.

        What the first one had not sent the text of, the other holds back as well. None for text without ids.
        """
        progress = cls(ids=list(received), spoken=bool(received))
        try:
            for data in _data(kept):
                if not progress._note(json.loads(data)):
                    return None
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        return progress

    def _note(self, chunk: Mapping[str, Any]) -> bool:
        self._begin(chunk)
        for choice in chunk["choices"]:
            if choice["index"]:
                return False
            delta = said(choice)
            self.spoken = self.spoken or "role" in delta
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            self.ids += choice.get("token_ids") or []
            if not self.ids and any(value for name, value in delta.items() if name != "role"):
                return False
        return True

    def _begin(self, chunk: Mapping[str, Any]) -> None:
        self.head = self.head or {name: chunk[name] for name in ("id", "created", "model") if name in chunk}
        self.counted = self.counted or (bool(chunk.get("usage")) and not chunk["choices"])

    def _take(self, chunk: Mapping[str, Any], pending: list[int]) -> bool:
        self._begin(chunk)
        for choice in chunk["choices"]:
            delta = said(choice)
            if choice["index"] or any(value for name, value in delta.items() if name not in _PLAIN):
                return False
            self.spoken = self.spoken or "role" in delta
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            pending += choice.get("token_ids") or []
            # a token's text may come with a later one: of what has no text yet, nothing was said
            thought, spoke = any(delta.get(name) for name in _THOUGHT), bool(delta.get("content"))
            self.thinking = not spoke and (thought or self.thinking)
            if thought or spoke or self.finish_reason:
                self.ids += pending
                pending.clear()
                if (thought or spoke) and not self.ids:
                    return False
        return True


def said(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what one choice of a chunk says, a completion of text in the names of a chat's."""
    found: Mapping[str, Any] = choice["delta"] if "delta" in choice else {"content": choice["text"]}
    return found


def _data(kept: Iterable[bytes]) -> Iterator[bytes]:
    return (data for data in Events().push(b"".join(kept)) if data != b"[DONE]")
