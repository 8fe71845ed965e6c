"""Price an hour of the machines that are searched for; what stands beside them is in the file's estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from tandem.plan.estimate import estimate
from tandem.plan.prices import price_table
from tandem.plan.quantities import Quantity
from tandem.spec.deployment import Deployment
from tandem.spec.workers import InstanceGroup

CS3 = "CS-3"
_SPECIAL = {"capacity-block": " capacity block", "spot": " spot"}


@dataclass(frozen=True, slots=True)
class Hourly:
    """Hold USD an hour, and what is not in it since nobody told us its price."""

    usd: float
    unknown: frozenset[str] = frozenset()

    def __add__(self, other: Self) -> Hourly:
        return Hourly(self.usd + other.usd, self.unknown | other.unknown)

    def per_million(self, tokens_per_second: float) -> float:
        """Return USD for a million tokens at this rate; infinite where there are none."""
        return self.usd / (tokens_per_second * 3600 / 1e6) if tokens_per_second else float("inf")


def of_hosts(deployment: Deployment, groups: Sequence[InstanceGroup], counts: Mapping[str, int]) -> Hourly:
    """Return the price of all groups, with ``counts`` in place of the file's; a block's where no other is known."""
    total = Hourly(0.0)
    for group in groups:
        item = group.instance_type + _SPECIAL.get(group.capacity.mode, "")
        count = counts.get(group.name, group.count)
        (row,) = estimate([Quantity(item, count)], deployment.region, price_table()).rows
        total += Hourly(row.per_hour or 0.0, frozenset([item] if row.unknown else []))
    return total


def of_systems(count: int, usd: float | None) -> Hourly:
    """Return the price of CS-3 systems, which nobody publishes: ``usd`` an hour of each, as you were offered it."""
    return Hourly(count * usd) if usd is not None else Hourly(0.0, frozenset([CS3]))
