"""Tell a recommendation, as text or as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tandem.plan import advice
from tandem.plan.hourly import CS3, Hourly
from tandem.plan.recommend import Recommendation
from tandem.plan.search import Found, Point
from tandem.simulation import tell
from tandem.simulation.tell import seconds

_HEAD = ("", "machines", "TTFT p99", "TPOT p99", "refused", "USD/hour", "USD/M tokens", "")


def text(told: Recommendation) -> Iterator[str]:
    """Yield the lines of a recommendation, its reasons and its comparisons."""
    own, targets = told.own, told.targets
    yield (
        f"targets: TTFT p99 {seconds(targets.ttft_p99)}, TPOT p99 {seconds(targets.tpot_p99)}, "
        f"at most {targets.refused:.1%} refused; {told.requests:,} requests, {len(own.tried)} sizes tried"
    )
    yield from advice.unmet(own, targets)
    aim = "meets the targets" if not own.unmet else "comes within a tenth of what can be had"
    yield f"recommended: {own.shape.said(own.point.size)}: the smallest that {aim}"
    yield from (f"  {line}" for line in advice.limits(own))
    yield ""
    yield from tell.text(own.point.found)
    yield ""
    yield f"against other kinds, for TTFT p99 {seconds(own.aimed.ttft_p99)} and TPOT p99 {seconds(own.aimed.tpot_p99)}:"
    rows = [_row(each, own) for each in (own, *told.others)]
    yield from tell.table([_HEAD, *rows], right=(2, 3, 4, 5, 6))
    for other in told.others:
        yield from (f"{other.shape.name}: {line}" for line in advice.unmet(other, own.aimed))
    yield from _break_even(told)
    yield ""
    yield from tell.table([("if", "TTFT p99", "TPOT p99", "refused"), *_changes(told)], right=(1, 2, 3))


def document(told: Recommendation) -> dict[str, Any]:
    """Return the same for ``--output json``."""
    return {
        "targets": {
            "ttft_p99": told.targets.ttft_p99,
            "tpot_p99": told.targets.tpot_p99,
            "refused": told.targets.refused,
        },
        "recommended": _entry(told.own),
        "alternatives": [_entry(each) for each in told.others],
        "sensitivity": [{"change": each.change, **tell.document(each.found)} for each in told.changed],
    }


def _entry(found: Found) -> dict[str, Any]:
    return {
        "kind": found.shape.name,
        "machines": machines(found),
        "met": not found.unmet,
        "unmet": list(found.unmet),
        "limits": list(advice.limits(found)),
        **_price(found.point),
        **tell.document(found.point.found),
    }


def machines(found: Found) -> dict[str, int]:
    """Return how many of each machine the point has."""
    return {axis.unit: count for count, axis in zip(found.point.size, found.shape.axes, strict=True) if axis.most}


def _price(point: Point) -> dict[str, Any]:
    hour, found = point.hourly, point.found
    return {
        "usd_per_hour": round(hour.usd, 4),
        "usd_per_million_tokens": _finite(hour.per_million(found.tokens_per_second)),
        "usd_per_million_answer_tokens": _finite(hour.per_million(found.answer_tokens_per_second)),
        "without_price": sorted(hour.unknown),
    }


def _row(found: Found, own: Found) -> tuple[str, ...]:
    summary, hour = found.point.found, found.point.hourly
    return (
        found.shape.name,
        found.shape.said(found.point.size),
        seconds(summary.ttft.p99),
        seconds(summary.tpot.p99),
        f"{summary.refused_share:.2%}",
        _money(hour, hour.usd),
        _money(hour, hour.per_million(summary.tokens_per_second)),
        f"cannot meet {', '.join(found.unmet).upper()}" if found.unmet and found is not own else "",
    )


def _money(hour: Hourly, usd: float) -> str:
    if hour.unknown and not hour.usd:
        return "unknown"
    return f"{usd:,.2f}" + (f" + {', '.join(sorted(hour.unknown))}" if hour.unknown else "")


def _break_even(told: Recommendation) -> Iterator[str]:
    """Yield what a CS-3 may cost an hour until Trainium alone is cheaper, by what each answers."""
    own = told.own.point
    alone = next((each.point for each in told.others if each.shape.name == "aggregated Trainium"), None)
    systems = own.size[1]
    if CS3 not in own.hourly.unknown or alone is None or not systems or not alone.found.tokens_per_second:
        return
    worth = alone.hourly.usd * own.found.tokens_per_second / alone.found.tokens_per_second
    left = (worth - own.hourly.usd) / systems
    yield (
        f"no price of a CS-3 is published: at {max(0.0, left):,.2f} USD an hour of each, a token would cost as much as "
        "on aggregated Trainium, which decodes slower; --system-usd takes the price you were offered"
    )


def _changes(told: Recommendation) -> Iterator[tuple[str, ...]]:
    for name, found in [("as planned", told.own.point.found), *((each.change, each.found) for each in told.changed)]:
        yield (name, seconds(found.ttft.p99), seconds(found.tpot.p99), f"{found.refused_share:.2%}")


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
