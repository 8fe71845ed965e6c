"""Read the table of published prices, ``prices.yaml``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).with_name("prices.yaml")
_ANY = "any"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Say where a price was read: ``stated`` is the day the source gives for it, if any, ``read`` ours."""

    url: str
    what: str
    stated: date | None
    read: date

    @property
    def day(self) -> date:
        """The day for which the price is known to hold."""
        return self.stated or self.read


@dataclass(frozen=True, slots=True)
class Price:
    """Hold a price in USD a unit; ``None`` where no source was found."""

    unit: str | None = None
    usd: float | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Find prices by item and region."""

    items: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, Source]
    without_standing_charge: frozenset[str]

    def find(self, item: str, region: str) -> Price:
        """Return the price of ``item`` in ``region``; another region's never stands in for it."""
        entry = self.items.get(item)
        if entry is None:
            return Price()
        found = entry.get(region) or entry.get(_ANY)
        if found is None:
            return Price(entry["unit"])
        return Price(entry["unit"], found["usd"], self.sources[found["source"]])


@functools.cache
def price_table() -> PriceTable:
    """Return the table that ships with Tandem."""
    content = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return PriceTable(
        items=content["prices"],
        sources={name: Source(**entry) for name, entry in content["sources"].items()},
        without_standing_charge=frozenset(content["without_standing_charge"]),
    )
