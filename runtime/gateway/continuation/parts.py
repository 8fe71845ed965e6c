"""The rest of a stream, taken part by part as a response is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from runtime.gateway.continuation.rewrite import Rewriter
from runtime.gateway.peers.upstream import Response, UnreachableError
from runtime.gateway.sse.events import EventError, Events


class Parts(Protocol):
    """What can be taken part by part."""

    async def take(self) -> bytes:
        """Return the next part, empty at the end; raise ``UnreachableError``."""


class Ending:
    """Hold events of which nobody need be asked."""

    def __init__(self, events: Iterable[bytes]) -> None:
        self._left = iter(events)

    async def take(self) -> bytes:
        """Return the next event."""
        return next(self._left, b"")


class Rewritten:
    """Write the events of a response in other words."""

    def __init__(self, response: Response, rewriter: Rewriter) -> None:
        self._response = response
        self._rewriter = rewriter
        self._events = Events()

    async def take(self) -> bytes:
        """Return the next events; raise ``UnreachableError``."""
        while received := await self._response.take():
            try:
                written = b"".join(self._rewriter.event(data) for data in self._events.push(received))
            except (EventError, ValueError) as error:
                raise UnreachableError(f"its answer is none: {error}") from error
            if written:
                return written
        return b""
