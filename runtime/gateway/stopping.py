"""Bound how long requests go on once the gateway was told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Stopping:
    """Follow the time limits of what runs, and bring them forward; made before, and used within, one running loop."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self._at: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing may go on any more."""
        return self._at is not None and asyncio.get_running_loop().time() >= self._at

    def begin(self, seconds: float) -> None:
        """Let everything end within ``seconds`` from now on."""
        self._at = asyncio.get_running_loop().time() + seconds
        for limit in self._limits:
            _bring_forward(limit, self._at)

    @contextmanager
    def ends(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Have ``limit``, which was entered, end no later than the gateway, as long as the block lasts."""
        if self._at is not None:
            _bring_forward(limit, self._at)
        self._limits.add(limit)
        try:
            yield
        finally:
            self._limits.remove(limit)


def _bring_forward(limit: asyncio.Timeout, at: float) -> None:
    when = limit.when()
    if when is None or at < when:
        limit.reschedule(at)
