"""The table of machines: whole, plausible, and found by instance type."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from tandem.catalog.figure import Figure
from tandem.catalog.machines import machines
from tandem.spec.instances import INSTANCE_TYPES


def _figures(entry: BaseModel) -> Iterator[Figure]:
    for value in dict(entry).values():
        if isinstance(value, Figure):
            yield value


@pytest.mark.parametrize("name", INSTANCE_TYPES)
def test_every_instance_type_has_its_chip_with_the_memory_that_the_facts_say(name: str) -> None:
    chip = machines().accelerator_of(name)
    assert chip is not None
    gib = INSTANCE_TYPES[name].hbm_gib_per_device
    assert float(chip.hbm_gb) == pytest.approx(gib * 2**30 / 1e9, rel=0.01)


def test_another_family_has_no_chip() -> None:
    assert machines().accelerator_of("p5.48xlarge") is None


def test_what_nobody_published_is_marked_and_nothing_else_is() -> None:
    table = machines()
    shares = table.efficiency
    assert {shares.efa.confidence, shares.ingress.confidence} == {"assumed"}
    published = [
        shares.prefill,
        shares.hbm,
        *_figures(table.cs3),
        *(f for chip in table.accelerators.values() for f in _figures(chip)),
    ]
    assert published
    assert "assumed" not in {figure.confidence for figure in published}


def test_shares_are_shares() -> None:
    assert all(0 < float(figure) <= 1 for figure in _figures(machines().efficiency))


@pytest.mark.parametrize("wrong", [{"value": 0}, {"value": -1}, {"source": ""}, {"confidence": "sure"}, {"unit": "GB"}])
def test_a_figure_is_positive_and_has_a_source(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Figure.model_validate({"value": 1, "source": "s", "confidence": "high", **wrong})
