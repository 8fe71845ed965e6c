"""Draw a recommendation: its replay, and cost against latency of every size that was tried."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.plan.recommend import Recommendation
from tandem.plan.search import Found, Point
from tandem.report.charts import Axis, Series, plot
from tandem.report.page import outcome_plots
from tandem.simulation.tell import seconds


def plots(told: Recommendation) -> list[str]:
    """Return the plots of the recommended size, and the frontier."""
    return [*outcome_plots(told.own.point.outcome), _frontier(told)]


def _frontier(told: Recommendation) -> str:
    dots = [_dots(found) for found in (told.own, *told.others) if found.point.hourly.usd]
    money = Axis("USD an hour of the machines whose price is known", lambda value: f"{value:,.0f}")
    latency = Axis("TTFT p99", seconds, log=True)
    best = Series("frontier", list(_pareto(told.own)))
    return plot("Cost against latency", money, latency, [best, *dots] if best.points else dots)


def _dots(found: Found) -> Series:
    points = list(_measured(found))
    notes = [f"{found.shape.said(each.size)}: {each.found.refused_share:.1%} refused" for each in points]
    spots = [(each.hourly.usd, each.found.ttft.p99) for each in points]
    return Series(found.shape.name, spots, joined=False, notes=notes)


def _pareto(found: Found) -> Iterator[tuple[float, float]]:
    """Yield the points that no cheaper one beats, of those that refuse no more than is allowed."""
    best = float("inf")
    allowed = [each for each in _measured(found) if each.found.refused_share <= found.aimed.refused]
    for each in sorted(allowed, key=lambda each: (each.hourly.usd, each.found.ttft.p99)):
        if each.found.ttft.p99 < best:
            best = each.found.ttft.p99
            yield each.hourly.usd, best


def _measured(found: Found) -> Iterator[Point]:
    return (each for each in found.tried if each.found.ttft.p99 > 0)
