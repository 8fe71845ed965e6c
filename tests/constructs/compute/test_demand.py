"""Several groups share one demand: what is fixed counts first, the rest is shared by what each may grow to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.spec.demand import Demand
from tests.constructs.compute.metric_math import evaluate
from tests.documents import deployment
from tests.templates import resources, templates

_BLOCK = {"mode": "capacity-block", "zone": "us-east-2b", "ends_at": "2027-01-31T11:30:00Z"}
_KINDS = {"trn1": "trn1.32xlarge"}


def _group(name: str, count: int, speed: int, **more: Any) -> dict[str, Any]:
    kind = _KINDS.get(name, "trn2.48xlarge")
    common = {"name": name, "instance_type": kind, "tensor_parallel": 32, "count": count, "tokens_per_second": speed}
    return common | more


GROUPS = [
    _group("block", 2, 20_000, capacity={**_BLOCK, "reservation_id": "cr-0123456789abcdef0"}),
    _group("trn1", 1, 5_000, max_count=4),
    _group("trn2", 1, 20_000, max_count=3),
]


@pytest.fixture(scope="module")
def tracked() -> dict[str, list[dict[str, Any]]]:
    """Return the metric queries that each group is scaled out by."""
    policies = resources(templates(prefill__groups=GROUPS)["prefill"], "AWS::AutoScaling::ScalingPolicy")
    return {
        next(name for name in ("block", "trn1", "trn2") if name in key): metrics["Metrics"]
        for key, policy in policies.items()
        if (tracking := policy.get("TargetTrackingConfiguration"))
        for metrics in [tracking["CustomizedMetricSpecification"]]
    }


def _load(queries: list[dict[str, Any]], rate: float, hosts: int, queued: float = 0.0) -> float:
    """Return the percentage of its size that a group needs while ``rate`` prompt tokens a second come in."""
    found = evaluate(
        queries, {"PromptTokens": 60 * rate, "QueuedPromptTokens": queued, "GroupDesiredCapacity": float(hosts)}
    )
    assert found is not None
    return found


@given(arriving=st.floats(0, 1e7), queued=st.floats(0, 1e6), hosts=st.integers(1, 20), fill=st.none() | st.floats(0, 1))
def test_what_is_deployed_is_the_policy_that_the_simulation_runs(
    tracked: dict[str, Any], arriving: float, queued: float, hosts: int, fill: float | None
) -> None:
    prefill = deployment(prefill__groups=GROUPS).prefill
    assert prefill
    measured = {"PromptTokens": arriving, "QueuedPromptTokens": queued, "GroupDesiredCapacity": float(hosts)}
    for group in prefill.groups[1:]:
        numbers = Demand.of("example/model", prefill, group, reserved=True)
        said = numbers.load(numbers.wanted(arriving, queued), hosts, fill or 0.0)
        given = {**measured, "ReservationFill": fill} if fill is not None else measured
        assert evaluate(tracked[group.name], given) == pytest.approx(said)


def test_only_groups_with_bounds_scale(tracked: dict[str, Any]) -> None:
    assert set(tracked) == {"trn1", "trn2"}


def test_what_the_fixed_hosts_can_do_calls_for_nobody(tracked: dict[str, Any]) -> None:
    # two hosts of 20,000 tokens a second, four fifths of them planned with
    assert {_load(queries, 0.8 * 40_000, hosts=1) for queries in tracked.values()} == {100}
    assert {round(_load(queries, 0.8 * 40_000, hosts=2)) for queries in tracked.values()} == {50}


def test_groups_reach_their_bounds_together(tracked: dict[str, Any]) -> None:
    whole = 2 * 20_000 + 4 * 5_000 + 3 * 20_000
    assert _load(tracked["trn1"], 0.8 * whole, hosts=4) == pytest.approx(100, abs=0.01)
    assert _load(tracked["trn2"], 0.8 * whole, hosts=3) == pytest.approx(100, abs=0.01)


def test_a_queue_is_worked_off_in_a_minute(tracked: dict[str, Any]) -> None:
    none, waiting = (_load(tracked["trn2"], 0.8 * 80_000, hosts=1, queued=queued) for queued in (0, 60 * 40_000))
    assert waiting - none == pytest.approx(100 * 40_000 * (60_000 / 80_000) / 20_000, abs=0.01)


def test_a_policy_asks_for_no_more_metrics_than_an_alarm_may_have(tracked: dict[str, Any]) -> None:
    # "Alarms based on metric math expressions can reference a maximum of 10 metrics" (CloudWatch, alarm limits)
    assert all(sum("MetricStat" in query for query in queries) <= 10 for queries in tracked.values())
