"""An estimate multiplies, adds, and never hides a price that it does not know."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.plan.estimate import estimate
from tandem.plan.prices import PriceTable, Source, price_table
from tandem.plan.quantities import Quantity
from tandem.plan.report import document, text

SOURCE = Source(url="https://example.com", what="a list", stated=None, read=date(2026, 11, 23))
TABLE = PriceTable(
    items={
        "hour": {"unit": "hour", "r": {"usd": 2.0, "source": "s"}},
        "month": {"unit": "month", "r": {"usd": 730.0, "source": "s"}},
        "disk": {"unit": "GB-month", "any": {"usd": 7.3, "source": "s"}},
        "data": {"unit": "GB", "r": {"usd": 5.0, "source": "s"}},
        "host": {"unit": "hour", "any": None},
        "host capacity block": {"unit": "hour", "r": {"usd": 3.0, "source": "s"}},
    },
    sources={"s": SOURCE},
    without_standing_charge=frozenset(),
)


def _rows(*quantities: Quantity, region: str = "r") -> dict[str, float | None]:
    return {row.quantity.item: row.per_hour for row in estimate(quantities, region, TABLE).rows}


def test_units_are_brought_to_an_hour() -> None:
    rows = _rows(Quantity("hour", 3), Quantity("month", 2), Quantity("disk", 100))
    assert rows == {"hour": 6.0, "month": 2.0, "disk": pytest.approx(1.0)}


def test_what_is_charged_by_use_is_shown_and_not_added() -> None:
    found = estimate([Quantity("data", None), Quantity("hour", 1)], "r", TABLE)
    assert (found.per_hour, found.unknown) == (2.0, ())
    assert found.rows[-1].quantity.item == "data"


def test_an_unknown_price_makes_the_total_a_lower_bound() -> None:
    found = estimate([Quantity("host", 2), Quantity("hour", 1), Quantity("nobody sells it", 1)], "elsewhere", TABLE)
    assert found.unknown == ("host", "hour", "nobody sells it")
    assert found.per_hour == 0.0
    assert document(found)["lower_bound"] is True
    lines = list(text(found))
    assert "price unknown" in lines[1]
    assert lines[-3].startswith("total, at least ")
    assert lines[-2].startswith("a lower bound: no price is known in elsewhere of host, hour")


def test_a_known_total_is_no_bound() -> None:
    found = estimate([Quantity("hour", 1)], "r", TABLE)
    assert document(found)["lower_bound"] is False
    assert [line.split()[0] for line in text(found)] == ["item", "hour", "total", "730"]


def test_where_only_capacity_blocks_have_a_price_it_is_said_to_be_theirs() -> None:
    [row] = estimate([Quantity("host", 2, "noted")], "r", TABLE).rows
    assert (row.per_hour, row.note) == (6.0, "price of a capacity block; noted")


def test_what_may_grow_is_priced_at_both_ends() -> None:
    found = estimate([Quantity("host", 2, most=5), Quantity("hour", 1)], "r", TABLE)
    assert (found.per_hour, found.per_hour_at_most) == (8.0, 17.0)
    lines = list(text(found))
    assert lines[1].split()[:6] == ["host", "2", "to", "5", "3", "/"]
    assert lines[-2].split() == ["scaled", "to", "the", "most", "17.0000", "12,410.00"]
    told = document(found)
    assert (told["per_hour_at_most"], told["per_month_at_most"]) == (17.0, 12410.0)
    assert [(row["count"], row["count_at_most"]) for row in told["rows"]] == [(2, 5), (1, 1)]


def test_a_row_names_its_source_and_day() -> None:
    [row] = document(estimate([Quantity("hour", 1)], "r", TABLE))["rows"]
    assert (row["source"], row["source_date"], row["unit_price"]) == ("https://example.com", "2026-11-23", 2.0)


@given(st.lists(st.tuples(st.sampled_from([*price_table().items, "unknown"]), st.integers(0, 500)), max_size=8))
def test_the_total_is_the_sum_of_what_is_known(asked: list[tuple[str, int]]) -> None:
    standing = [item for item in asked if price_table().items.get(item[0], {}).get("unit") not in ("GB", "LCU-hour")]
    found = estimate([Quantity(*each) for each in standing], "us-east-2", price_table())
    assert found.per_hour == pytest.approx(sum(row.per_hour for row in found.rows if row.per_hour is not None))
    assert len(found.unknown) == sum(row.per_hour is None for row in found.rows)
