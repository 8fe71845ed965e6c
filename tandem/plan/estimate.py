"""Price what a deployment asks for: an hour and a month of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tandem.plan.prices import Price, PriceTable
from tandem.plan.quantities import Quantity

HOURS_A_MONTH = 730
"""A year's hours by twelve, as AWS's own calculator has it."""

_HOURS = {"hour": 1, "GB-hour": 1, "month": HOURS_A_MONTH, "GB-month": HOURS_A_MONTH}
"""How many hours a unit's price is for; units that are not here are charged by use."""
_BLOCK = " capacity block"


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one line of an estimate in USD; ``per_hour`` is ``None`` where the price is unknown or depends on use."""

    quantity: Quantity
    price: Price
    note: str = ""

    @property
    def per_hour(self) -> float | None:
        """What an hour of it costs."""
        return self._per_hour(self.quantity.count)

    @property
    def per_hour_at_most(self) -> float | None:
        """What an hour of it costs once scaled to its largest."""
        return self._per_hour(self.quantity.at_most)

    def _per_hour(self, count: float | None) -> float | None:
        if count is None or self.price.usd is None or self.price.unit is None:
            return None
        return count * self.price.usd / _HOURS[self.price.unit]

    @property
    def unknown(self) -> bool:
        """Whether it is charged while it stands, by a price that nobody told us."""
        return self.quantity.count is not None and self.price.usd is None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Hold the rows, dearest first; the total is a lower bound while any price is unknown."""

    region: str
    rows: tuple[Row, ...]

    @property
    def per_hour(self) -> float:
        """What is known of an hour's cost, in USD, without what is charged by use."""
        return sum(row.per_hour or 0.0 for row in self.rows)

    @property
    def per_hour_at_most(self) -> float:
        """The same where everything is scaled to its largest."""
        return sum(row.per_hour_at_most or 0.0 for row in self.rows)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The items without a price."""
        return tuple(row.quantity.item for row in self.rows if row.unknown)


def estimate(quantities: Iterable[Quantity], region: str, table: PriceTable) -> Estimate:
    """Return the estimate of ``quantities`` in ``region``."""
    rows = [_row(quantity, region, table) for quantity in quantities]
    rows.sort(key=lambda row: (row.quantity.count is None, -(row.per_hour or 0.0), row.quantity.item))
    return Estimate(region, tuple(rows))


def _row(quantity: Quantity, region: str, table: PriceTable) -> Row:
    price = table.find(quantity.item, region)
    block = table.find(quantity.item + _BLOCK, region)
    if price.usd is None and block.usd is not None:
        return Row(quantity, block, "; ".join(filter(None, ["price of a capacity block", quantity.note])))
    return Row(quantity, price, quantity.note)
