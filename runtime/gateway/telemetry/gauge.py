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
        self._area = 0.0
        self._raised = 0.0

    def rise(self, amount: float) -> None:
        """Raise the level by ``amount``."""
        self._change(amount)
        self._raised += amount

    def fall(self, amount: float) -> None:
        """Lower the level by ``amount``."""
        self._change(-amount)

    def take_mean(self) -> float:
        """Return the mean over a whole period, what lies before the last call as zero, and begin the next one.

        So the last part of a program that ends in mid-period weighs no more than its share.
        """
        self._change(0.0)
        area, self._area = self._area, 0.0
        return area / PERIOD_SECONDS

    def take_raised(self) -> float:
        """Return by how much the level was raised since the last call, whatever it fell."""
        raised, self._raised = self._raised, 0.0
        return raised

    def _change(self, amount: float) -> None:
        now = self._clock()
        self._area += self.level * (now - self._since)
        self._since = now
        self.level += amount
