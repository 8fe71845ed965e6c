"""Prefill groups follow the prompts: the deployed policies, let loose on loads."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.spec.scaling import ASSUMED_TOKENS_PER_SECOND
from tests.constructs.compute.fleet import Fleet
from tests.templates import only, resources, templates

_SPEED = 10_000
_HOUR = 60
_POLICY = "AWS::AutoScaling::ScalingPolicy"


def _prefill(provider: str = "cs3", *, count: int = 1, least: int = 1, most: int = 8) -> dict[str, Any]:
    bounds = {"count": count, "min_count": least, "max_count": most, "tokens_per_second": _SPEED}
    group = {"name": "trn2", "instance_type": "trn2.48xlarge", "tensor_parallel": 64, **bounds}
    return templates(provider, prefill__groups=[group])["prefill"]


def test_prompts_bring_hosts_and_the_queue_is_worked_off() -> None:
    fleet = Fleet(_prefill(), speed=_SPEED)
    fleet.live(10, lambda _: 0.1 * _SPEED)
    assert set(fleet.sizes) == {1}
    fleet.live(3 * _HOUR, lambda _: 3.2 * _SPEED)
    assert fleet.sizes[13] >= 4  # three minutes of overload are enough to ask for what comes in
    assert fleet.waits[-1] == 0
    assert max(fleet.sizes) <= 8


@settings(max_examples=40)
@given(
    hosts=st.floats(0.05, 7.5),
    truth=st.floats(0.85, 1.3),
    noise=st.lists(st.floats(0.96, 1.04), min_size=97, max_size=97),
)
def test_a_steady_load_has_a_steady_size(hosts: float, truth: float, noise: list[float]) -> None:
    """Let workers be slower or faster than the file says, and prompts come unevenly."""
    fleet = Fleet(_prefill(), speed=truth * _SPEED)
    fleet.live(16 * _HOUR, lambda minute: hosts * 0.8 * _SPEED * noise[minute % len(noise)])
    settled = fleet.sizes[10 * _HOUR :]
    assert len(set(settled)) == 1, settled
    assert max(fleet.waits[10 * _HOUR :]) < 1
    assert settled[0] <= hosts + 2.1  # what is needed, rounded up, and at most one that margin keeps


def test_hosts_go_one_by_one_no_faster_than_they_come() -> None:
    fleet = Fleet(_prefill(count=6, least=2), speed=_SPEED)
    fleet.live(6 * _HOUR, lambda _: 0.0)
    changes = [minute for minute, (one, other) in enumerate(pairwise(fleet.sizes)) if one != other]
    assert fleet.sizes[-1] == 2  # the file's least, though the group's own minimum is 0
    assert all(one - other in (0, 1) for one, other in pairwise(fleet.sizes))
    assert changes[0] >= 28
    assert min(later - earlier for earlier, later in pairwise(changes)) >= 30


def test_decode_s_reservations_are_the_brake() -> None:
    fleet = Fleet(_prefill(count=2), speed=_SPEED)
    fleet.live(2 * _HOUR, lambda _: 3 * _SPEED, fill=lambda _: 0.95)
    assert set(fleet.sizes) == {2}  # prompts wait, but decode has no room for what more hosts would prefill
    fleet.live(5, lambda _: 3 * _SPEED, fill=lambda _: 0.5)
    assert fleet.sizes[-1] > 3


def test_the_brake_keeps_no_host_that_is_not_needed() -> None:
    fleet = Fleet(_prefill(count=3), speed=_SPEED)
    fleet.live(3 * _HOUR, lambda _: 0.0, fill=lambda _: 1.0)
    assert fleet.sizes[-1] == 1


def test_an_endpoint_that_does_not_tell_its_fill_brakes_nothing() -> None:
    fleet = Fleet(_prefill(), speed=_SPEED)
    fleet.live(10, lambda _: 3 * _SPEED)
    assert fleet.sizes[-1] > 3


def test_decode_on_vllm_has_no_reservations_and_no_brake() -> None:
    prefill = _prefill("vllm")
    assert "ReservationFill" not in str(resources(prefill, _POLICY))
    fleet = Fleet(prefill, speed=_SPEED)
    fleet.live(10, lambda _: 3 * _SPEED)
    assert fleet.sizes[-1] > 3


def test_a_day_is_followed_up_and_down() -> None:
    fleet = Fleet(_prefill(), speed=_SPEED)
    fleet.live(24 * _HOUR, lambda minute: _SPEED * (2.4 - 2.2 * math.cos(2 * math.pi * minute / (24 * _HOUR))))
    assert max(fleet.sizes) == 6  # 4.6 workers' worth at noon, at four fifths of their speed
    assert fleet.sizes[-1] <= 2
    rises = [later > earlier for earlier, later in pairwise(fleet.sizes) if earlier != later]
    assert sum(one != other for one, other in pairwise(rises)) == 1, fleet.sizes
    assert max(fleet.waits) < 5


def test_a_scheduled_end_outlasts_the_policy() -> None:
    fleet = Fleet(_prefill(count=2), speed=_SPEED)
    fleet.most = fleet.size = 0  # what a block's scheduled action sets
    fleet.live(_HOUR, lambda _: 5 * _SPEED)
    assert set(fleet.sizes) == {0}


def test_no_metric_no_scaling() -> None:
    fleet = Fleet(_prefill(count=3), speed=_SPEED)
    for minute in range(2 * _HOUR):
        fleet._scale(minute, {"GroupDesiredCapacity": 3})  # a gateway that is down publishes nothing
    assert fleet.size == 3


def test_the_alarm_takes_one_host_and_tracking_takes_none() -> None:
    prefill = _prefill()
    [name] = [key for key, body in resources(prefill, _POLICY).items() if body["PolicyType"] == "SimpleScaling"]
    [tracking] = [body for body in resources(prefill, _POLICY).values() if body["PolicyType"] != "SimpleScaling"]
    assert tracking["TargetTrackingConfiguration"]["DisableScaleIn"] is True
    assert tracking["EstimatedInstanceWarmup"] == 0  # else hosts that start would be left out of the size
    assert only(prefill, "AWS::CloudWatch::Alarm")["AlarmActions"] == [{"Ref": name}]


def test_without_bounds_nothing_scales() -> None:
    prefill = templates()["prefill"]
    assert not resources(prefill, _POLICY)
    assert not resources(prefill, "AWS::CloudWatch::Alarm")


@pytest.mark.parametrize(
    ("given", "model", "used"),
    [
        ({"tokens_per_second": 5000}, "meta-llama/Llama-3.3-70B-Instruct", 5000),
        # what the catalog has: 16 x 667 TFLOPS, a quarter of it reached, 2 x 70.6e9 operations a token
        ({}, "meta-llama/Llama-3.3-70B-Instruct", 18_895),
        ({}, "example/model", ASSUMED_TOKENS_PER_SECOND),
    ],
)
def test_the_speed_of_a_worker_is_the_file_s_else_the_catalog_s(given: dict[str, int], model: str, used: int) -> None:
    group = {"name": "trn2", "instance_type": "trn2.48xlarge", "tensor_parallel": 64, "count": 1, "max_count": 2}
    fleet = Fleet(templates(model__id=model, prefill__groups=[{**group, **given}])["prefill"], speed=used)
    fleet.live(5, lambda _: 0.79 * used)
    assert set(fleet.sizes) == {1}
    fleet.live(5, lambda _: 0.9 * used)
    assert fleet.sizes[-1] == 2
