"""What a load asks of a deployment: by hand, and by laws."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.catalog.machines import machines
from tandem.catalog.models import models
from tandem.sizing.demand import (
    Hosts,
    Limit,
    Load,
    cs3_limits,
    mean_prefill_seconds,
    prefill_limits,
    trainium_decode_limit,
)
from tandem.sizing.worker import Worker

LLAMA = models()["meta-llama/Llama-3.3-70B-Instruct"]
TRN2 = Hosts(count=2, worker=Worker.on(LLAMA, machines().accelerators["trainium2"], 16, machines()), efa_gbps=3200)
MOONCAKE = Load(requests_per_second=3.4, prompt_tokens=12_035, answer_tokens=343)


def by_name(*limits: Limit) -> dict[str, Limit]:
    return {limit.resource: limit for limit in limits}


def test_what_a_known_trace_needs() -> None:
    """Mooncake's conversation trace needs 13.4 GB/s of Llama 70B's KV."""
    found = by_name(
        *prefill_limits(MOONCAKE, LLAMA, [TRN2], machines()), *cs3_limits(MOONCAKE, LLAMA, 8, 0.44, machines())
    )
    assert found["EFA"].needed == pytest.approx(13.4, rel=0.01)
    assert found["EFA"].available == pytest.approx(400)
    assert found["CS-3 ingress"].needed == found["EFA"].needed
    assert found["prefill compute"].available == pytest.approx(2 / mean_prefill_seconds(MOONCAKE, LLAMA, [TRN2]))
    # eight wafers hold 352 GB, of which weights take 141
    assert found["CS-3 memory"].available == pytest.approx(352 - 141.2)
    held = 0.44 + 343 / 2100 + 327_680 * 12_035 / 960e9
    assert found["CS-3 memory"].needed == pytest.approx(3.4 * held * 327_680 * 12_378 / 1e9)


def test_wafers_that_cannot_hold_the_weights_have_no_room() -> None:
    found = by_name(*cs3_limits(MOONCAKE, LLAMA, 3, 0.4, machines()))
    assert found["CS-3 memory"].available == 0
    assert found["CS-3 memory"].use == float("inf")


def test_memory_is_left_open_where_the_speed_is_unknown() -> None:
    assert [limit.resource for limit in cs3_limits(MOONCAKE, models()["Qwen/Qwen3-8B"], 1, 0.4, machines())] == [
        "CS-3 ingress"
    ]


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
