"""The gateway's own choice between KV and text, and its fairness among tenants, decide in the simulation, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runtime.gateway.admission.limits import Capacity, Limits
from runtime.gateway.routing.disaggregation import Thresholds
from tandem.simulation.outages import Outages
from tandem.simulation.replay import replay
from tests.tandem.simulation.sites import LLAMA, SITE, trace

BLOCKS = [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 8], []]
AGAIN = trace(np.array([0.0, 30.0, 60.0]), np.array([4096, 4096, 1]), np.full(3, 5), BLOCKS)
"""The same conversation again, a block further on; and a last request, so that all of it is within the span."""
BOTH = replace(SITE, decode=(replace(SITE.prefill[0], count=1),))


def test_a_prompt_that_the_decode_worker_has_cached_is_given_to_it_as_text() -> None:
    found = replay(BOTH, AGAIN)
    assert found.answered == 3
    assert found.cached_tokens.tolist() == [0, 7 * 512, 0]
    assert found.use["EFA"].sum() * 60 / 120 * 4 == pytest.approx(LLAMA.kv_bytes(4096) / 200e9)  # once, by one of four


def test_thresholds_of_the_file_say_when_it_is_worth_a_handoff() -> None:
    always = replay(replace(BOTH, thresholds=Thresholds(new_tokens=1)), AGAIN)
    assert always.use["EFA"].sum() == pytest.approx(2 * replay(BOTH, AGAIN).use["EFA"].sum(), rel=0.01)


def test_decode_workers_prefill_where_no_prefill_host_is_left() -> None:
    alone = replace(BOTH, prefill=(replace(SITE.prefill[0], count=1),), outages=Outages(between=5, repair=1e6))
    traffic = trace(np.arange(60.0), np.full(60, 4000), np.full(60, 5))
    found = replay(alone, traffic)
    assert found.answered == 60


def test_a_tenant_s_limit_holds_for_each() -> None:
    crowd = trace(np.zeros(24), np.full(24, 4000), np.full(24, 100))
    limited = replace(
        SITE, tenant=Limits(requests_per_minute=6), admission=Capacity(running=9, waiting=9, wait_seconds=9)
    )
    one, four = replay(limited, crowd), replay(replace(limited, tenants=4), crowd)
    assert four.answered > one.answered
