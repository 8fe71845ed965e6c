"""Hold what one tenant may ask for, and what one gateway takes on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Hold one tenant's limits; None is no limit. ``weight`` is its share beside others that wait as well.

    Tokens are those that a request reserves: its prompt's and as many as its answer may have.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int | None = None
    weight: int = 1

    def among(self, gateways: int) -> Self:
        """Return one gateway's share where requests are spread evenly over several."""
        if gateways == 1:
            return self
        return replace(
            self,
            requests_per_minute=_share(self.requests_per_minute, gateways),
            tokens_per_minute=_share(self.tokens_per_minute, gateways),
            concurrency=None if self.concurrency is None else math.ceil(self.concurrency / gateways),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """Hold how many requests a gateway runs at once, how many more may wait, and for how long, in seconds."""

    running: int
    waiting: int
    wait_seconds: float


def _share(limit: float | None, gateways: int) -> float | None:
    return None if limit is None else limit / gateways
