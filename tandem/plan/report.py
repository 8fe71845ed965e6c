"""Tell an estimate, as text or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tandem.plan.estimate import HOURS_A_MONTH, Estimate, Row

_HEAD = ("item", "count", "unit price (USD)", "per hour", "per month", "source date", "")
_RIGHT = (1, 3, 4)


def text(estimate: Estimate) -> Iterator[str]:
    """Yield the lines of a table, its total, and what the total leaves out."""
    bound = ", at least" if estimate.unknown else ""
    table = [_HEAD, *map(_cells, estimate.rows), ("total" + bound, "", "", *_money(estimate.per_hour), "", "")]
    if any(row.quantity.most for row in estimate.rows):
        table.append(("scaled to the most" + bound, "", "", *_money(estimate.per_hour_at_most), "", ""))
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    for row in table:
        cells = [f"{c:>{w}}" if i in _RIGHT else f"{c:{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        yield "  ".join(cells).rstrip()
    if estimate.unknown:
        yield f"a lower bound: no price is known in {estimate.region} of {', '.join(estimate.unknown)}"
    yield f"{HOURS_A_MONTH} hours a month, without tax, discounts and what is charged by use"


def document(estimate: Estimate) -> dict[str, Any]:
    """Return the estimate for ``--output json``, in USD; sums are rounded to a hundredth of a cent."""
    return {
        "region": estimate.region,
        "currency": "USD",
        "hours_a_month": HOURS_A_MONTH,
        "rows": [_entry(row) for row in estimate.rows],
        "per_hour": round(estimate.per_hour, 4),
        "per_month": round(estimate.per_hour * HOURS_A_MONTH, 2),
        "per_hour_at_most": round(estimate.per_hour_at_most, 4),
        "per_month_at_most": round(estimate.per_hour_at_most * HOURS_A_MONTH, 2),
        "lower_bound": bool(estimate.unknown),
        "unknown": list(estimate.unknown),
    }


def _cells(row: Row) -> tuple[str, ...]:
    count = "by use" if row.quantity.count is None else f"{row.quantity.count:g}"
    count += f" to {row.quantity.most:g}" if row.quantity.most else ""
    price = "price unknown" if row.price.usd is None else f"{row.price.usd:g} / {row.price.unit}"
    day = row.price.source.day.isoformat() if row.price.source else ""
    return (row.quantity.item, count, price, *_money(row.per_hour), day, row.note)


def _money(per_hour: float | None) -> tuple[str, str]:
    return ("", "") if per_hour is None else (f"{per_hour:,.4f}", f"{per_hour * HOURS_A_MONTH:,.2f}")


def _entry(row: Row) -> dict[str, Any]:
    source = row.price.source
    return {
        "item": row.quantity.item,
        "count": row.quantity.count,
        "count_at_most": row.quantity.at_most,
        "unit": row.price.unit,
        "unit_price": row.price.usd,
        "per_hour": None if row.per_hour is None else round(row.per_hour, 4),
        "per_month": None if row.per_hour is None else round(row.per_hour * HOURS_A_MONTH, 2),
        "source": source and source.url,
        "source_date": source and source.day.isoformat(),
        "note": row.note,
    }
