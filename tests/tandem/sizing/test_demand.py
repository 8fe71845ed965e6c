"""What a load asks of a deployment: by hand, and by laws."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.catalog.machines import machines
from tandem.catalog.models import models
from tandem.sizing.demand import (
    Cs3Side,
    Hosts,
    Limit,
    Load,
    cs3_limits,
    cs3_refused_share,
    mean_prefill_seconds,
    prefill_limits,
    trainium_decode_limit,
)
from tandem.sizing.worker import Worker

LLAMA = models()["meta-llama/Llama-3.3-70B-Instruct"]
TRN2 = Hosts(count=2, worker=Worker.on(LLAMA, machines().accelerators["trainium2"], 16, machines()), efa_gbps=3200)
MOONCAKE = Load(requests_per_second=3.4, prompt_tokens=12_035, answer_tokens=343)


QWEN = models()["Qwen/Qwen3-8B"]


def side(systems: int, endpoints: int = 1) -> Cs3Side:
    return Cs3Side(systems=systems, endpoints=endpoints, context=32_768)


def by_name(*limits: Limit) -> dict[str, Limit]:
    return {limit.resource: limit for limit in limits}


def test_what_a_known_trace_needs() -> None:
    """Mooncake's conversation trace needs 13.4 GB/s of Llama 70B's KV."""
    found = by_name(
        *prefill_limits(MOONCAKE, LLAMA, [TRN2], machines()), *cs3_limits(MOONCAKE, LLAMA, side(8), 0.44, machines())
    )
    assert found["EFA"].needed == pytest.approx(13.4, rel=0.01)
    assert found["EFA"].available == pytest.approx(400)
    assert found["CS-3 ingress"].needed == found["EFA"].needed
    assert found["prefill compute"].available == pytest.approx(2 / mean_prefill_seconds(MOONCAKE, LLAMA, [TRN2]))
    # eight wafers hold 352 GB, of which weights take 141
    assert found["CS-3 memory"].available == pytest.approx(352 - 141.2)
    # until prefill is done, twice the prompt and the limit of a client that sets none; then the prompt and that limit
    after = 343 / 2100 + 327_680 * 12_035 / 960e9
    held = 0.44 * (2 * 12_035 + 1024) + after * (12_035 + 1024)
    assert found["CS-3 memory"].needed == pytest.approx(3.4 * held * 327_680 / 1e9)


def test_wafers_that_cannot_hold_the_weights_have_no_room() -> None:
    found = by_name(*cs3_limits(MOONCAKE, LLAMA, side(3), 0.4, machines()))
    assert found["CS-3 memory"].available == 0
    assert found["CS-3 memory"].use == float("inf")


def test_memory_for_the_mean_is_not_enough_for_as_many_as_come_at_once() -> None:
    refused = [cs3_refused_share(MOONCAKE, LLAMA, side(systems), 0.79, machines()) for systems in (3, 4, 5, 6)]
    # the simulation of that trace at four systems refuses 28 %, and at five 2 %, since some prompts are much longer
    assert refused[:2] == [1.0, pytest.approx(0.23, abs=0.02)]
    assert refused[2] is not None
    assert refused[2] < 0.01
    [memory] = [limit for limit in cs3_limits(MOONCAKE, LLAMA, side(4), 0.79, machines()) if "memory" in limit.resource]
    assert memory.use < 0.8
    assert cs3_refused_share(MOONCAKE, QWEN, side(4), 0.79, machines()) is None


def test_two_endpoints_hold_the_weights_twice() -> None:
    [one, two] = [by_name(*cs3_limits(MOONCAKE, LLAMA, side(8, n), 0.4, machines()))["CS-3 memory"] for n in (1, 2)]
    assert one.available - two.available == pytest.approx(LLAMA.weight_bytes / 1e9)
    refused = [cs3_refused_share(MOONCAKE, LLAMA, side(8, n), 0.79, machines()) or 0.0 for n in (1, 2)]
    assert refused[0] < refused[1]


def test_memory_is_left_open_where_the_speed_is_unknown() -> None:
    assert [limit.resource for limit in cs3_limits(MOONCAKE, QWEN, side(1), 0.4, machines())] == ["CS-3 ingress"]


def test_efa_is_left_open_where_a_link_is_unknown() -> None:
    found = prefill_limits(MOONCAKE, LLAMA, [TRN2, replace(TRN2, efa_gbps=None)], machines())
    assert [limit.resource for limit in found] == ["prefill compute"]


def test_without_workers_nothing_is_available() -> None:
    assert mean_prefill_seconds(MOONCAKE, LLAMA, []) == 0
    assert by_name(*prefill_limits(MOONCAKE, LLAMA, [], machines()))["prefill compute"].use == float("inf")


@given(st.floats(0.1, 1e3), st.floats(1.01, 10), st.integers(1, 50))
def test_use_grows_with_load_and_shrinks_with_hosts(rate: float, factor: float, count: int) -> None:
    def uses(rate: float, count: int) -> list[float]:
        load, hosts = replace(MOONCAKE, requests_per_second=rate), [replace(TRN2, count=count)]
        limits = [
            *prefill_limits(load, LLAMA, hosts, machines()),
            trainium_decode_limit(load, LLAMA, hosts, 8),
        ]
        return [limit.use for limit in limits]

    before = uses(rate, count)
    assert all(more > less for more, less in zip(uses(rate * factor, count), before, strict=True))
    assert all(less < more for less, more in zip(uses(rate, count + 1), before, strict=True))
