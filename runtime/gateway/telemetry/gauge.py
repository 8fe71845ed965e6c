"""Follow a level over time."""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.handoff.metrics import PERIOD_SECONDS


class Gauge:
    """Hold a level and its mean over a period; ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.level = 0.0
        self._clock = clock
        self._since = clock()
        self._moment = 0.0
        """What the level's changes add to, each times the seconds after which it came."""
        self._raised = 0.0

    def rise(self, amount: float) -> None:
        """Raise the level by ``amount``."""
        self.level += amount
        self._raised += amount
        self._moment += amount * (self._clock() - self._since)

    def fall(self, amount: float) -> None:
        """Lower the level by ``amount``."""
        self.level -= amount
        self._moment -= amount * (self._clock() - self._since)

    def take_mean(self) -> float:
        """Return the mean over a whole period, what lies before the last call as zero, and begin the next one.

        So the last part of a program that ends in mid-period weighs no more than its share.
        """
        now = self._clock()
        area = self.level * (now - self._since) - self._moment
        self._since, self._moment = now, 0.0
        return area / PERIOD_SECONDS

    def take_raised(self) -> float:
        """Return by how much the level was raised since the last call, whatever it fell."""
        raised, self._raised = self._raised, 0.0
        return raised
