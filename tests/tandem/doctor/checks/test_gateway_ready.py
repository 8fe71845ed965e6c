"""A gateway task that is unhealthy, or healthy and not ready, is found."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge, stack
from tests.tandem.doctor.servers import serving

TARGETS = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/gateway/0123456789abcdef"


def judged(targets: Sequence[tuple[str, str]], count: int = 1) -> Result:
    """Judge a gateway whose targets have these addresses and states."""
    health = [
        {
            "Target": {"Id": address.partition(":")[0], "Port": int(address.partition(":")[2])},
            "TargetHealth": {"State": state},
        }
        for address, state in targets
    ]
    balancing = answering(
        "elbv2",
        ("describe_target_groups", {"TargetGroups": [{"Protocol": "HTTP"}]}),
        ("describe_target_health", {"TargetHealthDescriptions": health}),
    )
    cloudformation = stack(("AWS::ElasticLoadBalancingV2::TargetGroup", TARGETS))
    wanted = deployment("openai", gateway__min_count=count)
    return judge("gateway-ready", wanted, cloudformation=cloudformation, elbv2=balancing)


def test_ready_tasks_pass() -> None:
    with serving(lambda path, _: (200 if path == "/ready" else 404, {}, "")) as address:
        result = judged([(address, "healthy")])
    assert (result.verdict, result.found) == (Verdict.PASS, "1 of 1 gateway tasks ready")


def test_a_healthy_task_that_is_not_ready_fails_with_its_reason() -> None:
    with serving(lambda *_: (503, {}, '{"reason": "no prefill worker"}')) as address:
        result = judged([(address, "healthy")])
    assert result.verdict is Verdict.FAIL
    assert result.found == f'http://{address}: 503 {{"reason": "no prefill worker"}}'


def test_an_unhealthy_target_fails_without_being_asked() -> None:
    result = judged([("10.0.0.1:8080", "unhealthy")])
    assert (result.verdict, result.found) == (Verdict.FAIL, "0 of 1 healthy: http://10.0.0.1:8080 unhealthy")


def test_too_few_targets_fail() -> None:
    assert judged([], count=2).found == "0 of 2 healthy: no target"


def test_targets_out_of_reach_are_unknown() -> None:
    result = judged([("localhost:1", "healthy")])
    assert result.verdict is Verdict.UNKNOWN
    assert result.found.startswith("targets are healthy; http://localhost:1/ready is not reachable from here: ")


def test_before_a_deploy_nobody_knows() -> None:
    assert judge("gateway-ready", deployment()).verdict is Verdict.UNKNOWN
