"""The gateway's own admission decides in the simulation, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runtime.gateway.admission.limits import Capacity, Limits
from tandem.simulation.replay import replay
from tests.tandem.simulation.sites import SITE, trace

CROWD = trace(np.zeros(6), np.full(6, 4000), np.full(6, 100))


def test_past_its_queue_a_gateway_refuses() -> None:
    site = replace(SITE, admission=Capacity(running=2, waiting=2, wait_seconds=60))
    found = replay(site, CROWD)
    assert found.refused["queue_full"] > 0
    assert found.answered + found.refused.total() == 6


def test_whoever_waits_too_long_is_refused_and_the_rest_run_in_turn() -> None:
    site = replace(SITE, admission=Capacity(running=1, waiting=100, wait_seconds=0.5))
    found = replay(site, CROWD)
    assert found.refused["waited"] > 0
    assert found.answered > 1
    assert found.answered + found.refused.total() == 6


def test_a_rate_limit_binds_where_the_machines_would_not() -> None:
    site = replace(SITE, tenant=Limits(requests_per_minute=6))
    assert replay(site, CROWD).refused["request_rate"] > 0
