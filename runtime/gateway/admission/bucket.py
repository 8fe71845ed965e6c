"""Meter a rate by a token bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BURST_SECONDS: Final = 10.0
"""How much may come at once, as time at the full rate: no minute then holds more than 7/6 of its limit."""
_ROUNDING: Final = 1e-6  # what adding floats may lose, as a share of the bucket


@dataclass(slots=True)
class Bucket:
    """Remember how far a bucket is below full, ``owed``, at the time ``at``; rates are given with each call.

    So a limit that changes counts at once. What is larger than the whole bucket passes where it is full and overdraws
    it: it then takes longer to fill, and the rate holds over time whatever the size of a request.
    """

    owed: float = 0.0
    at: float = 0.0

    def wait(self, amount: float, per_minute: float, now: float) -> float:
        """Return in how many seconds ``amount`` may pass if nothing else does; 0 where it may now."""
        size = capacity(per_minute)
        lacking = self._owed(per_minute, now) + min(amount, size) - size
        return 0.0 if lacking <= _ROUNDING * size else lacking / (per_minute / 60)

    def take(self, amount: float, per_minute: float, now: float) -> None:
        """Let ``amount`` pass."""
        self.owed, self.at = self._owed(per_minute, now) + amount, now

    def give_back(self, amount: float) -> None:
        """Return what was taken for nothing."""
        self.owed = max(0.0, self.owed - amount)

    def _owed(self, per_minute: float, now: float) -> float:
        return max(0.0, self.owed - (now - self.at) * per_minute / 60)


def capacity(per_minute: float) -> float:
    """Return what a full bucket lets pass at once, one at least."""
    return max(1.0, per_minute / 60 * BURST_SECONDS)
