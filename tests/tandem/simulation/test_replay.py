"""One request at a time, by hand: where its time goes, and what refuses it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tandem.simulation.outcome import Outcome
from tandem.simulation.replay import replay
from tandem.simulation.site import Site, Wafers
from tandem.sizing import legs
from tests.tandem.simulation.sites import HOST, LLAMA, SITE, WAFERS, trace


def alone(site: Site, prompt: int, answer: int = 100) -> Outcome:
    return replay(site, trace(np.array([0.0]), np.array([prompt]), np.array([answer])))


def test_the_phases_of_a_request_sum_to_its_first_token() -> None:
    found = alone(replace(SITE, call_seconds=0.002), 8000)
    assert found.queue[0] == 0
    assert found.prefill[0] == pytest.approx(legs.prefill_seconds(LLAMA, 8000, HOST))
    assert found.handoff[0] == pytest.approx(LLAMA.kv_bytes(8000) / 200e9 + 1 / 2100)
    assert found.ttft[0] == pytest.approx(found.queue[0] + found.prefill[0] + found.handoff[0] + 3 * 0.002)
    assert found.tpot[0] == pytest.approx(1 / 2100)


def test_chunks_cost_what_the_whole_prompt_costs() -> None:
    for chunk in (512, 8192, 10**6):
        found = alone(replace(SITE, max_num_batched_tokens=chunk), 30_000)
        assert found.prefill[0] == pytest.approx(legs.prefill_flops(LLAMA, 30_000) / HOST.flops)


def test_a_short_prompt_shares_the_last_chunk_of_a_long_one() -> None:
    one_host = replace(SITE, prefill=(replace(SITE.prefill[0], count=1),))
    found = replay(one_host, trace(np.zeros(2), np.array([10_000, 100]), np.array([9, 9])))
    assert found.queue[1] + found.prefill[1] == pytest.approx(found.queue[0] + found.prefill[0])


def test_a_prefix_is_computed_once_a_worker() -> None:
    blocks = [[0, 1, 2, 3], [0, 1, 2, 9]]
    found = replay(SITE, trace(np.array([0.0, 9.0]), np.full(2, 2048), np.full(2, 5), blocks))
    assert found.cached_tokens.tolist() == [0, 3 * 512]
    assert found.prefill[1] == pytest.approx(legs.prefill_seconds(LLAMA, 2048, HOST, cached=1536))


def test_what_exceeds_the_context_is_refused_at_once() -> None:
    assert alone(replace(SITE, context=4096), 4096).refused == {"context_length_exceeded": 1}


def test_a_full_endpoint_refuses_and_the_next_one_takes_it() -> None:
    tight = replace(WAFERS, kv_bytes=LLAMA.kv_bytes(20_000))
    assert crowded(tight).refused == {"capacity": 3}
    assert crowded(replace(tight, endpoints=3)).refused == {"capacity": 1}
    assert not crowded(replace(tight, endpoints=4)).refused


def crowded(wafers: Wafers) -> Outcome:
    site = replace(SITE, decode=wafers)
    return replay(site, trace(np.linspace(0, 0.03, 4), np.full(4, 8000), np.full(4, 50)))


def test_kv_that_waited_longer_than_its_lease_is_prefilled_again_and_then_given_up() -> None:
    found = alone(replace(SITE, lease_seconds=0.2), 8000)
    assert found.refused == {"kv_stale": 1}


def test_a_reservation_that_ran_out_before_its_prefill_was_done_is_unknown() -> None:
    found = alone(replace(SITE, decode=replace(WAFERS, ttl_seconds=0.2)), 8000)
    assert found.refused == {"reservation_unknown": 1}


def test_trainium_decodes_as_one_batch() -> None:
    site = replace(SITE, decode=SITE.prefill)
    found = alone(site, 8000)
    assert found.tpot[0] == pytest.approx(legs.decode_seconds(LLAMA, 8050, 1, HOST), rel=0.01)
    both = replay(replace(site, decode=(replace(SITE.prefill[0], count=1),)), trace(np.zeros(2), *columns(2)))
    assert both.tpot[1] > found.tpot[0]


def test_aggregated_workers_let_prefill_disturb_decode() -> None:
    one = (replace(SITE.prefill[0], count=1),)
    together = replace(SITE, prefill=(), decode=one)
    arrivals = np.array([0.0, 1.0])
    found = replay(together, trace(arrivals, np.array([1000, 30_000]), np.array([300, 2])))
    apart = replay(together, trace(arrivals[:1], np.array([1000]), np.array([300])))
    assert found.tpot[0] > 1.2 * apart.tpot[0]
    assert found.answered == 2


def columns(count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(count, 8000), np.full(count, 100)
