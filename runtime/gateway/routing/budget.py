"""Bound how much is tried again, so that a fleet in trouble is not asked a multiple of what it cannot do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryBudget:
    """Save up ``share`` of a retry with each request, and ``a_second`` with time, up to ``most`` (as Finagle does).

    So in the long run at most ``share`` of the requests are tried again, and a quiet gateway may still retry.
    Times are seconds of the caller's monotonic clock.
    """

    share: float = 0.2
    a_second: float = 1.0
    most: float = 100.0
    saved: float = 10.0
    at: float = 0.0

    def requested(self, now: float, requests: int = 1) -> Self:
        """Return the budget after so many new requests."""
        return self._at(now, self.share * requests)

    def spend(self, now: float) -> Self | None:
        """Return the budget after a retry, None where there is nothing left for one."""
        budget = self._at(now, 0.0)
        return replace(budget, saved=budget.saved - 1) if budget.saved >= 1 else None

    def _at(self, now: float, more: float) -> Self:
        since = max(0.0, now - self.at)
        return replace(self, saved=min(self.most, self.saved + since * self.a_second + more), at=max(now, self.at))
