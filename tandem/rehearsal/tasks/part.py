"""Follow one process of a service: whether it serves, where clients reach it, and how it is told to end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.handoff import contract, settings, worker_status
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.machine.processes import Process
from tandem.rehearsal.tasks.agent import Placement
from tandem.rehearsal.tasks.endpoint import Endpoint
from tandem.rehearsal.tasks.launch import healthy, listening
from tandem.rehearsal.tasks.registrations import client_url
from tandem.rehearsal.tasks.task import Task

STOP_SECONDS = 120.0
"""The longest that ECS lets a task take after SIGTERM (Fargate; on EC2 it may be more)."""


@dataclass(slots=True)
class Part:
    """Hold a process of the service, and how to tell that it serves; a gateway's ``url`` is where clients reach it."""

    service: str
    process: Process
    ready: Callable[[], bool]
    url: str | None = None

    def status(self) -> int | None:
        """Wait for the end of what was told to end, and return its status; None where it does not come to that."""
        try:
            return self.process.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None


@dataclass(slots=True)
class TaskPart(Part):
    """Hold a task by what was placed."""

    placement: Placement = field(kw_only=True)


@dataclass(slots=True)
class EndpointPart(Part):
    """Hold a decode endpoint, which its owner runs."""

    endpoint: Endpoint = field(kw_only=True)


def of_endpoint(process: Process, endpoint: Endpoint) -> EndpointPart:
    """Return the part that plays the owner's endpoint."""
    service = f"endpoint-{endpoint.provider}"
    return EndpointPart(service, process, lambda: listening(endpoint.address, endpoint.port), endpoint=endpoint)


def of_task(aws: Api, placement: Placement, process: Process) -> TaskPart:
    """Return the part of a task that was started; raise ``PathError`` where clients cannot reach a gateway."""
    service = placement.task.service
    if not placement.task.targets:
        return TaskPart(service, process, lambda: healthy(health(placement)), placement=placement)
    url = client_url(aws, placement)
    return TaskPart(service, process, lambda: healthy(f"{url}/ready"), url, placement=placement)


def health(placement: Placement) -> str:
    """Return where a task says that it serves."""
    task = placement.task
    asked = [f":{port}{worker_status.READY}" for port in status_port(task)] or [f":{task.ports[0]}{contract.HEALTH}"]
    return f"https://{placement.address}{asked[0]}"


def status_port(task: Task) -> list[int]:
    """Return the port where a worker tells its state; nothing for a task that is no worker."""
    return [int(task.environment[settings.STATUS_PORT])] if settings.STATUS_PORT in task.environment else []
