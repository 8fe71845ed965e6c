"""Prefill groups grow and shrink in the simulation by the policy that is deployed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tandem.simulation.deployed import site_of
from tandem.simulation.replay import replay
from tandem.simulation.site import Site
from tandem.traces.trace import Trace
from tests.documents import deployment
from tests.tandem.simulation.sites import trace

LLAMA: dict[str, Any] = {"model__id": "meta-llama/Llama-3.3-70B-Instruct", "model__max_model_len": 32_768}
# a gateway takes a prompt for twice its tokens, so one worker's speed is told in those
BOUNDS = {"prefill__groups__0__max_count": 6, "prefill__groups__0__tokens_per_second": 20_000}
START = 600


def site(**changes: object) -> Site:
    given = {**LLAMA, **BOUNDS, "decode__systems": 40, "prefill__warm_start_seconds": START, **changes}
    return site_of(deployment(**given))


def steady(rate: float, seconds: int) -> Trace:
    count = int(rate * seconds)
    return trace(np.arange(count) / rate, np.full(count, 4000), np.full(count, 50))


def hosts(site: Site, given: Trace) -> np.ndarray:
    """Return how many hosts were wanted, in 120 equal parts of the time."""
    return replay(site, given).use["hosts of trn2"] * 6


def test_hosts_come_with_the_prompts_and_serve_once_they_have_started() -> None:
    # 6 x 8,000 tokens a second are 3 workers' worth at four fifths of their speed
    found = replay(site(), steady(6, 1800))
    wanted = found.use["hosts of trn2"] * 6
    assert wanted[:10] == pytest.approx(1.0)
    assert wanted[12:].max() == pytest.approx(6.0)  # a queue grows while they start
    busy = found.use["prefill compute"] * 6
    assert busy[: int(120 * START / 1800)].max() == pytest.approx(1.0, abs=0.05)  # nobody else serves yet
    assert busy.max() > 1.5


def test_a_file_without_bounds_keeps_its_size() -> None:
    found = replay(site(prefill__groups__0__max_count=1), steady(2, 300))
    assert "hosts of trn2" not in found.use


def test_a_host_to_spare_goes_after_its_minutes_and_not_before() -> None:
    wanted = hosts(site(prefill__groups__0__count=4, prefill__groups__0__min_count=1), steady(1, 3 * 3600))
    assert wanted[:15] == pytest.approx(4.0)  # 22 minutes
    assert wanted[24] == pytest.approx(3.0, abs=0.1)  # 36 minutes
    assert (np.diff(wanted) <= 1e-9).all()


def test_full_decode_brakes() -> None:
    free = site()
    tight = replace(free, prefill=tuple(replace(pool, scaling=_braked(pool.scaling)) for pool in free.prefill))
    assert hosts(free, steady(6, 900)).max() > 2
    assert hosts(tight, steady(6, 900)).max() == pytest.approx(1.0)


def _braked(scaling: Any) -> Any:
    return replace(scaling, demand=replace(scaling.demand, brake_fill=0.0))
