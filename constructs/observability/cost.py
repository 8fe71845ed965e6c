"""Say what the Trainium hosts in service cost an hour, by the price table that ships with Tandem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from constructs.serving.workers import VllmWorkers
from tandem.plan.estimate import Row, estimate
from tandem.plan.prices import price_table
from tandem.plan.quantities import Quantity
from tandem.spec.workers import InstanceGroup

_MARKETS = {"capacity-block": " capacity block", "ultraserver-block": " capacity block", "spot": " spot"}


@dataclass(frozen=True, slots=True)
class HostCost:
    """Hold one instance group's hosts in service and the price of one, if a source tells it."""

    name: str
    hosts: cloudwatch.Metric
    row: Row

    @property
    def text(self) -> str:
        """The price of one host, in words, with its day."""
        item, price = self.row.quantity.item, self.row.price
        if price.usd is None or price.source is None:
            return f"{self.name}: price of {item} unknown, left out"
        note = f" ({self.row.note})" if self.row.note else ""
        return f"{self.name}: ${price.usd:.2f} an hour for each {item}, as of {price.source.day}{note}"


def host_costs(workers: Sequence[VllmWorkers], region: str) -> list[HostCost]:
    """Return the cost of each instance group's hosts in ``region``."""
    return [
        HostCost(f"{stage.name} {group.name}", hosts, _row(group, region))
        for stage in workers
        for group, hosts in zip(stage.workers.groups, stage.metrics_hosts(), strict=True)
    ]


def cost_per_hour(costs: Sequence[HostCost]) -> cloudwatch.MathExpression | None:
    """Return dollars an hour of all hosts whose price is known; None where no price is."""
    known = [cost for cost in costs if cost.row.per_hour is not None]
    if not known:
        return None
    terms = [f"FILL(hosts{index}, 0) * {cost.row.per_hour:g}" for index, cost in enumerate(known)]
    return cloudwatch.MathExpression(
        expression=" + ".join(terms),
        using_metrics={f"hosts{index}": cost.hosts for index, cost in enumerate(known)},
        period=Duration.minutes(5),
        label="hosts, $ an hour",
    )


def _row(group: InstanceGroup, region: str) -> Row:
    item = group.instance_type + _MARKETS.get(group.capacity.mode, "")
    [row] = estimate([Quantity(item, 1)], region, price_table()).rows
    return row
