"""Read from a stream's events how far it came."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from runtime.gateway.sse.events import Events

_THOUGHT: Final = frozenset({"reasoning", "reasoning_content"})
"""What comes before the answer proper, under vLLM's name of today or the one before."""
_PLAIN: Final = frozenset({"role", "content"}) | _THOUGHT
Step = Callable[[Mapping[str, Any], Sequence[int]], bool]
"""Take what a piece says, and its ids; return False where how far its stream came cannot be known."""


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
        known = progress._follow(kept, lambda delta, ids: progress._take(delta, ids, pending))
        return progress if known and (progress.finish_reason or not progress.thinking) else None

    @classmethod
    def told(cls, kept: Iterable[bytes], received: Sequence[int] = ()) -> Self | None:
        """Return how far a stream came whose tokens another endpoint takes up: all that were told, whatever they are.

        What the first one had not sent the text of, the other holds back as well. None for text without ids.
        """
        progress = cls(ids=list(received), spoken=bool(received))
        return progress if progress._follow(kept, progress._note) else None

    def _follow(self, kept: Iterable[bytes], step: Step) -> bool:
        """Take each piece by ``step``; return False where it says so, or where what came is no stream."""
        try:
            return all(self._walk(chunk, step) for chunk in map(json.loads, _data(kept)))
        except (ValueError, LookupError, TypeError, AttributeError):
            return False

    def _walk(self, chunk: Mapping[str, Any], step: Step) -> bool:
        self.head = self.head or {name: chunk[name] for name in ("id", "created", "model") if name in chunk}
        self.counted = self.counted or (bool(chunk.get("usage")) and not chunk["choices"])
        for choice in chunk["choices"]:
            delta = said(choice)
            self.spoken = self.spoken or "role" in delta
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if choice["index"] or not step(delta, choice.get("token_ids") or []):
                return False
        return True

    def _note(self, delta: Mapping[str, Any], ids: Sequence[int]) -> bool:
        self.ids += ids
        return bool(self.ids) or not any(value for name, value in delta.items() if name != "role")

    def _take(self, delta: Mapping[str, Any], ids: Sequence[int], pending: list[int]) -> bool:
        if any(value for name, value in delta.items() if name not in _PLAIN):
            return False
        pending += ids
        # a token's text may come with a later one: of what has no text yet, nothing was said
        thought, spoke = any(delta.get(name) for name in _THOUGHT), bool(delta.get("content"))
        self.thinking = not spoke and (thought or self.thinking)
        if thought or spoke or self.finish_reason:
            self.ids += pending
            pending.clear()
        return bool(self.ids) or not (thought or spoke)


def said(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what one choice of a chunk says, a completion of text in the names of a chat's."""
    found: Mapping[str, Any] = choice["delta"] if "delta" in choice else {"content": choice["text"]}
    return found


def _data(kept: Iterable[bytes]) -> Iterator[bytes]:
    return (data for data in Events().push(b"".join(kept)) if data != b"[DONE]")
