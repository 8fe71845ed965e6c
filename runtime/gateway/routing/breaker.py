"""Stop asking a peer that keeps failing, and try it again with one request after a while (circuit breaker).

closed ──``failures`` in a row──► open ──time is up──► half open: one request ──it succeeds──► closed
                                    ▲                                  └──it fails, twice as long──┐
                                    └──────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """Hold one peer's state; times are seconds of the caller's monotonic clock."""

    failures: int = 5
    first_seconds: float = 2.0
    most_seconds: float = 60.0
    failed: int = 0
    """Failures since the last success."""
    open_until: float | None = None
    opened: int = 0
    """How often it opened since the last success."""
    on_trial: bool = False
    """Whether one request tries it again."""

    def admits(self, now: float) -> bool:
        """Tell whether the peer may be asked."""
        return self.open_until is None or now >= self.open_until

    def asked(self, now: float) -> Self:
        """Return the state once a request was sent: a peer that is tried again gets no second one meanwhile."""
        if self.open_until is None:
            return self
        return replace(self, open_until=now + self._seconds(self.opened), on_trial=True)

    def answered(self) -> Self:
        """Return the state once an answer began: closed, but what failed still counts until one has ended well."""
        return replace(self, open_until=None, on_trial=False)

    def succeeded(self) -> Self:
        """Return the state after a success: closed."""
        return replace(self, failed=0, open_until=None, opened=0, on_trial=False)

    def fail(self, now: float) -> Self:
        """Return the state after a failure; those of requests that were under way as it opened tell nothing new."""
        failed = self.failed + 1
        if failed < self.failures or (self.open_until is not None and not self.on_trial):
            return replace(self, failed=failed)
        opened = self.opened + 1
        return replace(self, failed=failed, open_until=now + self._seconds(opened), opened=opened, on_trial=False)

    def _seconds(self, opened: int) -> float:
        doublings = min(max(opened, 1) - 1, 32)
        return min(self.most_seconds, self.first_seconds * 2.0**doublings)
