"""Every price has a source and a day, and none stands in for another region's."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tandem.plan.estimate import _HOURS
from tandem.plan.prices import price_table

TABLE = price_table()
ENTRIES = [
    (item, region, entry)
    for item, regions in TABLE.items.items()
    for region, entry in regions.items()
    if region != "unit"
]


@pytest.mark.parametrize(("item", "region", "entry"), [each for each in ENTRIES if each[2]])
def test_a_price_is_a_figure_with_a_source(item: str, region: str, entry: dict[str, Any]) -> None:
    assert entry.keys() == {"usd", "source"}
    assert isinstance(entry["usd"], float | int)
    assert 0 < entry["usd"] < 100
    assert entry["source"] in TABLE.sources
    assert region == "any" or region.count("-") >= 2


def test_every_source_is_used_and_can_be_looked_up() -> None:
    assert {entry["source"] for _, _, entry in ENTRIES if entry} == TABLE.sources.keys()
    for source in TABLE.sources.values():
        assert source.url.startswith("https://")
        assert source.what
        assert isinstance(source.read, date)
        assert source.stated is None or source.stated <= source.read


def test_units_are_known_or_charged_by_use() -> None:
    assert {regions["unit"] for regions in TABLE.items.values()} - _HOURS.keys() == {"GB", "LCU-hour", "100,000 events"}


@pytest.mark.parametrize(
    ("item", "region", "usd"),
    [
        ("trn1.32xlarge", "us-east-2", 21.5),
        ("trn1n.32xlarge", "us-west-2", 24.78),
        ("trn2.48xlarge", "us-east-2", None),
        ("trn2.48xlarge capacity block", "us-east-2", 35.7608),
        ("trn2.48xlarge capacity block", "us-east-1", None),
        ("Fargate vCPU", "eu-west-1", None),
        ("KMS key", "eu-west-1", 1.0),
        ("gp3 volume", "us-east-2", None),
        ("no such item", "us-east-2", None),
    ],
)
def test_a_region_without_a_price_has_none(item: str, region: str, usd: float | None) -> None:
    price = TABLE.find(item, region)
    assert price.usd == usd
    assert (price.source is None) == (usd is None)


def test_a_price_holds_for_the_day_that_its_source_states() -> None:
    stated, unstated = TABLE.find("Fargate vCPU", "us-east-2").source, TABLE.find("secret", "us-east-2").source
    assert stated is not None
    assert unstated is not None
    assert (stated.day, unstated.day) == (date(2026, 9, 10), unstated.read)
