"""Check that all tasks of a service are of one version: workers of two may disagree about the KV layout."""

from __future__ import annotations

from tandem.doctor.aws import Aws
from tandem.doctor.deployed import ecs_services, running_tasks
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.deployment import Deployment


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare the task definition revision of every running task with its service's."""
    faults, current = [], []
    for service in ecs_services(aws, deployment):
        wanted = _revision(service["taskDefinition"])
        running = {_revision(task["taskDefinitionArn"]) for task in running_tasks(aws, service)}
        if running - {wanted}:
            faults.append(f"{service['serviceName']} runs {', '.join(sorted(running))}, its service asks for {wanted}")
        current += [wanted] if running else []
    if faults:
        return failed("; ".join(faults), "wait for the rollout to end, or force a new deployment of the service")
    if not current:
        raise UndeterminedError("no task is running", "see what check services says")
    return passed(", ".join(current))


def _revision(arn: str) -> str:
    return arn.rpartition("/")[2]
