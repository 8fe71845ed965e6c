"""Keep what is known of one tenant: its rates, what it runs, and who of it waits."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from runtime.gateway.admission.bucket import Bucket
from runtime.gateway.admission.limits import Limits


class Place(msgspec.Struct, eq=False):
    """Hold one request: its tenant, its cost in tokens, when it stops waiting, and whether it runs."""

    tenant: str
    cost: int
    deadline: float
    running: bool = False


@dataclass(slots=True)
class Line:
    """Hold one tenant's state; ``served`` is the virtual time at which what it was given so far ends."""

    limits: Limits
    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)
    waiting: dict[Place, None] = field(default_factory=dict)
    running: int = 0
    served: float = 0.0

    @property
    def first(self) -> Place:
        """The place that waits longest."""
        return next(iter(self.waiting))

    def request_wait(self, now: float) -> float:
        """Return in how many seconds the request rate allows one more."""
        rate = self.limits.requests_per_minute
        return 0.0 if rate is None else self.requests.wait(1, rate, now)

    def token_wait(self, cost: int, now: float) -> float:
        """Return in how many seconds the token rate allows ``cost``."""
        rate = self.limits.tokens_per_minute
        return 0.0 if rate is None else self.tokens.wait(cost, rate, now)

    def charge(self, cost: int, now: float) -> None:
        """Count one request of ``cost`` tokens against both rates."""
        if (rate := self.limits.requests_per_minute) is not None:
            self.requests.take(1, rate, now)
        if (rate := self.limits.tokens_per_minute) is not None:
            self.tokens.take(cost, rate, now)

    def discharge(self, cost: int) -> None:
        """Take back the charge of a request that was never run."""
        self.requests.give_back(1)
        self.tokens.give_back(cost)
