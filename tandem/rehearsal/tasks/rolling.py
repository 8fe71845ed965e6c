"""Put what is deployed now in the place of what runs: tasks as ECS replaces them, endpoints as their owner would."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tandem.rehearsal.machine.processes import Process, ProcessError
from tandem.rehearsal.tasks import endpoint as endpoints
from tandem.rehearsal.tasks.launch import READY_SECONDS
from tandem.rehearsal.tasks.part import EndpointPart, Part, TaskPart, of_endpoint, of_task
from tandem.rehearsal.tasks.registrations import deregister, register
from tandem.rehearsal.tasks.service import Service
from tandem.rehearsal.tasks.task import Task, deployed_tasks

_BALANCER_SECONDS: Final = 2.0
"""How long what a load balancer no longer sends to goes on before SIGTERM.

The deployed delay is a minute, in which most streams would end by themselves.
"""
_PROBE_SECONDS: Final = 0.5


@dataclass(slots=True)
class Replaced:
    """Hold what took whose place: so many tasks at a time, the old ones told to end at ``told`` (monotonic)."""

    name: str
    began: float = field(default_factory=time.monotonic)
    batches: list[int] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    ended: float = 0.0

    def end(self, service: Service, parts: Sequence[Part]) -> None:
        """Take tasks out of where they are found, tell them to stop, and wait; raise where one fails to end well."""
        for part in parts:
            if part in service.parts:
                service.parts.remove(part)
            if isinstance(part, TaskPart):
                deregister(service.launcher.aws, part.placement)
        if any(part.url for part in parts):
            time.sleep(_BALANCER_SECONDS)
        self.told.append(time.monotonic())
        self.batches.append(len(parts))
        for part in parts:
            part.process.popen.send_signal(signal.SIGTERM)
        for part in parts:
            if part.status() != 0:
                raise part.process.failure()
            service.processes.running.remove(part.process)
        self.ended = time.monotonic()


def room(wanted: int, least_percent: int, most_percent: int) -> tuple[int, int]:
    """Return how many of ``wanted`` tasks ECS may start before it stops any, and how many it may stop before that."""
    return wanted * most_percent // 100 - wanted, wanted - -(-wanted * least_percent // 100)


def roll_endpoints(service: Service) -> list[Replaced]:
    """Replace each endpoint: the next run of it takes over the name, then the old one is told to end."""
    return [_roll_endpoint(service, part) for part in list(service.parts) if isinstance(part, EndpointPart)]


def roll_tasks(service: Service) -> list[Replaced]:
    """Replace the tasks of every service whose task definition is another by now, service by service."""
    rolled = []
    for task in deployed_tasks(service.launcher.aws):
        old = [part for part in service.parts if isinstance(part, TaskPart) and part.service == task.service]
        if any(part.placement.task.task_definition != task.task_definition for part in old):
            rolled.append(_roll(service, task, old))
    return rolled


def _roll_endpoint(service: Service, old: EndpointPart) -> Replaced:
    replaced, launcher = Replaced(old.process.name), service.launcher
    following = replace(old.endpoint, name=f"{old.endpoint.name}-next", address=launcher.addresses.take())
    process = launcher.processes.start(endpoints.program(following, launcher.machine))
    part = of_endpoint(process, following)
    launcher.processes.wait_ready(process, part.ready, READY_SECONDS)
    launcher.addresses.name(following.url, following.address, following.port)
    service.parts[service.parts.index(old)] = part
    replaced.end(service, [old])
    return replaced


def _roll(service: Service, task: Task, old: Sequence[TaskPart]) -> Replaced:
    replaced, left = Replaced(task.service), list(old)
    more, fewer = room(len(old), task.least_percent, task.most_percent)
    if not more and not fewer:
        raise ProcessError(f"{task.service} may neither start nor stop a task of {len(old)}: its deployment would hang")
    while left:
        batch, left = left[: more or fewer], left[more or fewer :]
        if more:
            _begin(service, task, batch, anew=True)
            replaced.end(service, batch)
        else:
            replaced.end(service, batch)
            _begin(service, task, batch, anew=False)
    return replaced


def _begin(service: Service, task: Task, before: Sequence[TaskPart], *, anew: bool) -> None:
    """Start a task in each one's place, at an address of its own where ``anew``; wait as ECS does."""
    launcher, parts = service.launcher, []
    for each in before:
        was = each.placement
        address = launcher.addresses.take() if anew else was.address
        placement = replace(was, task=task, address=address, run=was.run + 1)
        process = launcher.start(placement)
        register(launcher.aws, placement)
        parts.append(of_task(launcher.aws, placement, process))
    for part in parts:
        _wait_healthy(service, part)
        service.parts.append(part)


def _wait_healthy(service: Service, part: TaskPart) -> None:
    """Wait until a load balancer or its own health check finds a task healthy; one with neither is as it runs."""
    task = part.placement.task
    if task.targets:
        service.processes.wait_ready(part.process, part.ready, READY_SECONDS)
    elif task.health:
        service.processes.wait_ready(part.process, lambda: _checked(task.health, part.process), READY_SECONDS)


def _checked(command: Sequence[str], process: Process) -> bool:
    """Run a container's health check where its program runs."""
    kind, *words = command
    argv = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
    program = process.program
    done = subprocess.run(argv, env=dict(program.environment), cwd=program.cwd, capture_output=True, check=False)
    if done.returncode:
        time.sleep(_PROBE_SECONDS)
    return done.returncode == 0
