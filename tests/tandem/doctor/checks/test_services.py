"""A service that runs too few tasks, or is still rolling out, is found with ECS's last word on it."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge, stack

ARN = "arn:aws:ecs:us-east-2:123456789012:service/cluster"


def described(name: str, running: int, *rollouts: str, event: str = "") -> dict[str, Any]:
    return {
        "serviceName": name,
        "desiredCount": 2,
        "runningCount": running,
        "deployments": [{"rolloutState": state} for state in rollouts or ("COMPLETED",)],
        "events": [{"message": event}] if event else [],
    }


def judged(*services: dict[str, Any]) -> Result:
    """Judge a deployment whose only stack of services is the gateway's."""
    ecs = answering("ecs", ("describe_services", {"services": list(services)}))
    cloudformation = stack(*(("AWS::ECS::Service", f"{ARN}/{one['serviceName']}") for one in services))
    return judge("services", deployment("openai"), cloudformation=cloudformation, ecs=ecs)


def test_services_at_their_count_pass() -> None:
    result = judged(described("gateway", 2), described("other", 2))
    assert (result.verdict, result.found) == (Verdict.PASS, "gateway runs 2; other runs 2")


def test_too_few_tasks_fail_with_ecs_own_reason() -> None:
    result = judged(described("gateway", 2), described("other", 1, event="no container instance met its requirements"))
    assert result.verdict is Verdict.FAIL
    assert result.found == "other runs 1 of 2, no container instance met its requirements"


@pytest.mark.parametrize("state", ["IN_PROGRESS", "FAILED"])
def test_a_rollout_that_has_not_ended_fails(state: str) -> None:
    result = judged(described("gateway", 2, "COMPLETED", state))
    assert (result.verdict, result.found) == (Verdict.FAIL, f"gateway runs 2 of 2, rollout {state}")


def test_more_services_than_a_call_takes_are_asked_in_turn() -> None:
    names = [f"s{index}" for index in range(12)]
    ecs = answering(
        "ecs",
        ("describe_services", {"services": [described(name, 2) for name in names[:10]]}),
        ("describe_services", {"services": [described(name, 2) for name in names[10:]]}),
    )
    cloudformation = stack(*(("AWS::ECS::Service", f"{ARN}/{name}") for name in names))
    result = judge("services", deployment("openai"), cloudformation=cloudformation, ecs=ecs)
    assert result.verdict is Verdict.PASS
    assert "s11 runs 2" in result.found


def test_before_a_deploy_nobody_knows() -> None:
    result = judge("services", deployment())
    assert (result.verdict, result.found) == (Verdict.UNKNOWN, "stack small-prefill is not deployed")
