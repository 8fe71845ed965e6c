"""Missing hosts are found, with EC2's own reason."""

from __future__ import annotations

import pytest

from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import Answer, answering, judge, stack
from tests.tandem.doctor.fleet import GROUP, described

REASON = "We currently do not have sufficient trn2.48xlarge capacity"


def activity(number: int, status: str, message: str = "fine") -> dict[str, object]:
    texts = {"ActivityId": str(number), "AutoScalingGroupName": GROUP, "Cause": "a test", "StatusMessage": message}
    return {**texts, "StatusCode": status, "StartTime": 0}


def judged(present: int, asked: int, *activities: dict[str, object]) -> Result:
    """Judge one group that has some of its hosts."""
    answers: list[tuple[str, Answer]] = [
        ("describe_auto_scaling_groups", {"AutoScalingGroups": [described([f"i-{index}" for index in range(present)])]})
    ]
    if present < asked:
        answers.append(("describe_scaling_activities", {"Activities": list(activities)}))
    return judge(
        "hosts-in-service",
        deployment(prefill__groups__0__count=asked),
        cloudformation=stack(("AWS::AutoScaling::AutoScalingGroup", GROUP)),
        autoscaling=answering("autoscaling", *answers),
    )


@pytest.mark.parametrize("present", [2, 3])
def test_all_hosts_pass(present: int) -> None:
    result = judged(present, 2)
    assert (result.verdict, result.found) == (Verdict.PASS, f"{present} of 2 prefill hosts in service")


def test_missing_hosts_fail_with_the_latest_reason() -> None:
    failures = [activity(1, "Successful"), activity(2, "Failed", REASON), activity(3, "Failed", "an older one")]
    result = judged(1, 2, *failures)
    assert (result.verdict, result.found) == (
        Verdict.FAIL,
        f"1 of 2 prefill hosts in service; {GROUP}: {REASON}",
    )


def test_missing_hosts_fail_without_a_reason() -> None:
    assert judged(0, 1).found == "0 of 1 prefill hosts in service"


def test_a_stack_without_a_group_has_no_hosts() -> None:
    result = judge("hosts-in-service", deployment(), cloudformation=stack())
    assert (result.verdict, result.found) == (Verdict.FAIL, "0 of 1 prefill hosts in service")


def test_before_a_deploy_nobody_knows() -> None:
    assert judge("hosts-in-service", deployment()).verdict is Verdict.UNKNOWN


def test_a_deployment_without_hosts_passes() -> None:
    assert judge("hosts-in-service", deployment("openai")).verdict is Verdict.PASS
