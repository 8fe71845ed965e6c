"""The simulator against queues with closed forms: M/G/1 at a prefill worker, M/M/c at a decode worker.

Stated error: 6 % of the mean wait at 40,000 requests of a fixed seed, 10 % with several servers, whose waits vary more
from sample to sample; against a recursion over the very same sample, 3 %.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tandem.catalog.models import Heads
from tandem.simulation.replay import replay
from tandem.sizing.legs import prefill_seconds
from tests.tandem.simulation.sites import HOST, LLAMA, SITE, trace, unbounded

Floats = NDArray[np.floating[Any]]
COUNT = 40_000
ERROR = 0.06


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_prefill_waits_as_pollaczek_and_khinchine_say(load: float, spread: float) -> None:
    rng = np.random.default_rng(7)
    prompts = np.rint(4000 * np.exp(spread * rng.standard_normal(COUNT) / 2)).astype(np.int64)
    service = np.array([prefill_seconds(LLAMA, int(each), HOST) for each in prompts])
    rate = load / service.mean()
    arrivals = np.cumsum(rng.exponential(1 / rate, COUNT))
    # one at a time, each in one step
    site = unbounded(max_num_seqs=1, max_num_batched_tokens=10**9)
    found = replay(site, trace(arrivals, prompts, np.full(COUNT, 2)))
    wait = rate * (service**2).mean() / (2 * (1 - load))
    assert found.answered == COUNT
    assert found.queue.mean() == pytest.approx(wait, rel=ERROR)
    assert found.use["prefill compute"].mean() == pytest.approx(load, rel=0.03)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (4, 0.7), (16, 0.8)])
def test_decode_waits_as_erlang_says(servers: int, load: float) -> None:
    """Let each of c sequences have tokens at one rate, and answers end after a geometric number: that is M/M/c."""
    rng = np.random.default_rng(11)
    answers = rng.geometric(1 / 400, COUNT)
    light = LLAMA.model_copy(update={"attention": Heads(kv_heads=1, head_dim=1), "layers": 1})
    step = HOST.step + light.active * light.bytes_per_parameter / HOST.read
    rate = load * servers / (400 * step)
    arrivals = np.cumsum(rng.exponential(1 / rate, COUNT))
    pools = unbounded().prefill
    site = replace(unbounded(), model=light, decode=pools, decode_max_num_seqs=servers)
    # a prompt of one token costs its prefill worker next to nothing
    quick = replace(pools[0], worker=replace(pools[0].worker, flops=1e30, read=1e30, step=0.0))
    found = replay(replace(site, prefill=(quick,)), trace(arrivals, np.ones(COUNT, dtype=np.int64), answers))
    wait = erlang_c(servers, load) * 400 * step / (servers * (1 - load))
    # a request that finds a free place still waits for the step at hand, half of one on average, and then its own
    assert found.handoff.mean() == pytest.approx(wait + 1.5 * step, rel=0.1)
    assert found.handoff.mean() == pytest.approx(waited(arrivals, answers * step, servers) + 1.5 * step, rel=0.03)


def waited(arrivals: Floats, services: Floats, servers: int) -> float:
    """Return the mean wait of exactly these customers."""
    free, total = [0.0] * servers, 0.0
    for arrival, service in zip(arrivals.tolist(), services.tolist(), strict=True):
        begin = max(arrival, heapq.heappop(free))
        total += begin - arrival
        heapq.heappush(free, begin + service)
    return total / len(arrivals)


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that all servers are taken."""
    offered = servers * load
    last = offered**servers / math.factorial(servers) / (1 - load)
    return last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)


def test_a_link_is_a_queue_with_one_server() -> None:
    """Let KV of equal sizes over one link: M/D/1."""
    rng = np.random.default_rng(13)
    arrivals = np.cumsum(rng.exponential(1.0, COUNT))
    base = unbounded()
    quick = replace(base.prefill[0], worker=replace(HOST, flops=1e30, read=1e30, step=0.0, kv_bytes=1e30))
    size = LLAMA.kv_bytes(1000)
    slow = replace(quick, egress=size / 0.7)
    found = replay(replace(base, prefill=(slow,)), trace(arrivals, np.full(COUNT, 1000), np.full(COUNT, 2)))
    assert found.handoff.mean() == pytest.approx(0.7 + 0.7 * 0.7 / (2 * 0.3) + 1 / 2100, rel=ERROR)


def test_the_same_twice() -> None:
    rng = np.random.default_rng(3)
    given = trace(np.cumsum(rng.exponential(0.3, 500)), rng.integers(1, 30_000, 500), rng.integers(1, 900, 500))
    one, other = replay(SITE, given), replay(SITE, given)
    assert np.array_equal(one.ttft, other.ttft, equal_nan=True)
    assert one.refused == other.refused
