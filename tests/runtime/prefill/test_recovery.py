"""A broken host is replaced by moto's Auto Scaling: after enough failures, once, and one of a group an hour."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.handoff import settings
from runtime.prefill import recovery
from runtime.prefill.recovery import FAILURES, INTERVAL_SECONDS, WINDOW_SECONDS, Recovery, RecoveryError
from tests.runtime.prefill.conftest import health


class _Clock:
    """Tell the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, host: str) -> list[str]:
    """Give what is said; the metadata service knows the host."""
    monkeypatch.setattr(recovery, "instance_id", lambda _: host)
    return []


def test_a_host_on_which_vllm_fails_again_and_again_is_replaced(
    aws_environment: dict[str, str], said: list[str], endpoint: str, host: str
) -> None:
    ours = Recovery(aws_environment, said.append, _Clock())
    for _ in range(FAILURES - 1):
        ours.failed("vLLM ended with status 1")
    assert health(endpoint, host) == "healthy"
    ours.failed("vLLM ended with status 1")
    assert health(endpoint, host) == "unhealthy"
    assert said[-1] == f"Auto Scaling replaces {host}: vLLM ended with status 1"
    ours.failed("vLLM ended with status 1")
    assert said[-1] == "another host has been asked for already"


def test_failures_of_another_day_do_not_count(aws_environment: dict[str, str], said: list[str]) -> None:
    clock = _Clock()
    ours = Recovery(aws_environment, said.append, clock)
    for _ in range(2 * FAILURES):
        ours.failed("vLLM ended with status 1")
        clock.now += WINDOW_SECONDS / (FAILURES - 1)
    assert not [text for text in said if "replaces" in text]


def test_a_second_host_of_the_group_is_kept_for_an_hour(
    aws_environment: dict[str, str], said: list[str], endpoint: str, host: str, s3: Any
) -> None:
    clock = _Clock()
    record = {"host": "i-0", "at": clock.now - INTERVAL_SECONDS + 60, "reason": "no device"}
    key = f"{aws_environment[settings.RECOVERY].removeprefix('s3://artifacts/')}/replaced.json"
    s3.put_object(Bucket="artifacts", Key=key, Body=json.dumps(record).encode())
    ours = Recovery(aws_environment, said.append, clock)
    ours.replace_host("no device")
    assert health(endpoint, host) == "healthy"
    assert said == [
        "this host is not replaced: i-0 of this group was replaced 59 min ago for 'no device'; a second one within 60 "
        "min points to the file or the image"
    ]
    clock.now += 60
    ours.replace_host("no device")
    assert health(endpoint, host) == "unhealthy"
    assert json.loads(s3.get_object(Bucket="artifacts", Key=key)["Body"].read())["host"] == host


def test_of_two_hosts_at_one_moment_only_one_goes(
    aws_environment: dict[str, str], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.prefill.bucket.Bucket.write", lambda *_, **__: None)
    Recovery(aws_environment, said.append).replace_host("no device")
    assert said == ["this host is not replaced: another host of the group is being replaced at this moment"]


def test_what_auto_scaling_refuses_is_said(
    aws_environment: dict[str, str], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise RecoveryError("SetInstanceHealth: HTTP Error 403: Forbidden")

    monkeypatch.setattr(Recovery, "_mark_unhealthy", refused)
    Recovery(aws_environment, said.append).replace_host("no device")
    assert said == ["this host is not replaced: SetInstanceHealth: HTTP Error 403: Forbidden"]
