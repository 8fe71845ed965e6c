"""Check that every ECS service runs the tasks it should."""

from __future__ import annotations

from typing import Any

from tandem.doctor.aws import Aws
from tandem.doctor.deployed import ecs_services
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare running with desired tasks, and ask whether a rollout is under way or failed."""
    services = ecs_services(aws, deployment)
    faults = [fault for service in services if (fault := _fault(service))]
    if faults:
        return failed("; ".join(faults), "read the service's events in ECS, and the logs of tasks that stopped")
    return passed("; ".join(f"{one['serviceName']} runs {one['runningCount']}" for one in services))


def _fault(service: dict[str, Any]) -> str:
    """Return what is wrong with a service, empty where nothing is, with ECS's last word on it."""
    counts = f"{service['serviceName']} runs {service['runningCount']} of {service['desiredCount']}"
    rollouts = {one.get("rolloutState", "COMPLETED") for one in service["deployments"]} - {"COMPLETED"}
    if service["runningCount"] == service["desiredCount"] and not rollouts:
        return ""
    event = service["events"][0]["message"] if service.get("events") else ""
    parts = [counts, *(f"rollout {state}" for state in sorted(rollouts)), *([event] if event else [])]
    return ", ".join(parts)
