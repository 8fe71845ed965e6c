"""Run events in the order of their times; equal times in the order in which they were asked for."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Loop:
    """Hold the virtual time, in seconds, and what is still to happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._count = 0

    def at(self, time: float, action: Callable[[Any], None], argument: Any = None) -> None:
        """Call ``action(argument)`` at ``time``, which is not in the past."""
        self._count += 1
        heapq.heappush(self._events, (time, self._count, action, argument))

    def run(self) -> None:
        """Go on until nothing is left to happen."""
        events, pop = self._events, heapq.heappop
        while events:
            self.now, _, action, argument = pop(events)
            action(argument)
