"""Check that all tasks of a service are of one version: workers of two may disagree about the KV layout."""

from __future__ import annotations

from typing import Any

from tandem.doctor.aws import Aws
from tandem.doctor.deployed import ecs_services
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.deployment import Deployment

_TASKS_A_CALL = 100


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare the task definition revision of every running task with its service's."""
    faults, current = [], []
    for service in ecs_services(aws, deployment):
        wanted = _revision(service["taskDefinition"])
        running = {_revision(task["taskDefinitionArn"]) for task in _tasks(aws, service)}
        if running - {wanted}:
            faults.append(f"{service['serviceName']} runs {', '.join(sorted(running))}, its service asks for {wanted}")
        current += [wanted] if running else []
    if faults:
        return failed("; ".join(faults), "wait for the rollout to end, or force a new deployment of the service")
    if not current:
        raise UndeterminedError("no task is running", "see what check services says")
    return passed(", ".join(current))


def _tasks(aws: Aws, service: dict[str, Any]) -> list[dict[str, Any]]:
    ecs, cluster = aws.client("ecs"), service["clusterArn"]
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, serviceName=service["serviceName"])
    arns = [arn for page in pages for arn in page["taskArns"]]
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), _TASKS_A_CALL):
        found += ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + _TASKS_A_CALL])["tasks"]
    return found


def _revision(arn: str) -> str:
    return arn.rpartition("/")[2]
