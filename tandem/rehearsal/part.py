"""Follow one process of a service: whether it serves, where clients reach it, and how it is told to end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from runtime.handoff import contract, settings, worker_status
from tandem.rehearsal.agent import Placement
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.endpoint import Endpoint
from tandem.rehearsal.launch import healthy, listening
from tandem.rehearsal.processes import Process
from tandem.rehearsal.registrations import client_url
from tandem.rehearsal.tasks import Task

STOP_SECONDS = 120.0
"""The longest that ECS lets a task take after SIGTERM (Fargate; on EC2 it may be more)."""


@dataclass(slots=True)
class Part:
    """Hold a process of the service, and how to tell that it serves; a gateway's ``url`` is where clients reach it.

    ``where`` is what was placed, or the endpoint that it serves.
    """

    service: str
    process: Process
    ready: Callable[[], bool]
    url: str | None = None
    where: Placement | Endpoint | None = None

    def status(self) -> int | None:
        """Wait for the end of what was told to end, and return its status; None where it does not come to that."""
        try:
            return self.process.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None


def of_endpoint(process: Process, endpoint: Endpoint) -> Part:
    """Return the part that plays the owner's endpoint."""
    service = f"endpoint-{endpoint.provider}"
    return Part(service, process, lambda: listening(endpoint.address, endpoint.port), where=endpoint)


def of_task(aws: Api, placement: Placement, process: Process) -> Part:
    """Return the part of a task that was started; raise ``PathError`` where clients cannot reach a gateway."""
    service = placement.task.service
    if not placement.task.targets:
        return Part(service, process, lambda: healthy(health(placement)), where=placement)
    url = client_url(aws, placement)
    return Part(service, process, lambda: healthy(f"{url}/ready"), url, placement)


def health(placement: Placement) -> str:
    """Return where a task says that it serves."""
    task = placement.task
    asked = [f":{port}{worker_status.READY}" for port in status_port(task)] or [f":{task.ports[0]}{contract.HEALTH}"]
    return f"https://{placement.address}{asked[0]}"


def status_port(task: Task) -> list[int]:
    """Return the port where a worker tells its state; nothing for a task that is no worker."""
    return [int(task.environment[settings.STATUS_PORT])] if settings.STATUS_PORT in task.environment else []
