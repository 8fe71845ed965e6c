"""Check that every stage has the hosts that the file asks for."""

from __future__ import annotations

from typing import Any

from tandem.doctor.aws import Aws
from tandem.doctor.deployed import host_groups, in_service
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages

_RECENT = 5


def check(deployment: Deployment, aws: Aws) -> Result:
    """Count the hosts in service; services are daemons and content without a host, so only this shows missing ones."""
    found: list[str] = []
    faults: list[str] = []
    for stage, workers in stages(deployment):
        asked, groups = sum(group.least for group in workers.groups), host_groups(aws, deployment, stage)
        present = sum(len(in_service(group)) for group in groups)
        count = f"{present} of {asked} {stage} hosts in service"
        if present < asked:
            faults += [count, *_refusals(aws, groups)]
        else:
            found.append(count)
    if faults:
        return failed("; ".join(faults), "wait for capacity, reserve some, or ask for less: docs/capacity.md")
    return passed("; ".join(found) or "no Trainium host is asked for")


def _refusals(aws: Aws, groups: list[dict[str, Any]]) -> list[str]:
    """Return why each group's latest launch failed, in EC2's words, where one of the recent ones did."""
    reasons = []
    for name in (group["AutoScalingGroupName"] for group in groups):
        answer = aws.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=name, MaxRecords=_RECENT)
        failures = [one for one in answer["Activities"] if one["StatusCode"] == "Failed"]
        reasons += [f"{name}: {failures[0].get('StatusMessage', 'no reason given')}"] if failures else []
    return reasons
