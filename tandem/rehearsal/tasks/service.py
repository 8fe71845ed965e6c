"""Bring a deployed service up on this machine: the decode endpoint, every task, registrations and open paths."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from runtime.handoff import fabric, settings
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.machine.addresses import Addresses
from tandem.rehearsal.machine.machine import Machine
from tandem.rehearsal.machine.processes import Process, Processes
from tandem.rehearsal.tasks import endpoint as endpoints
from tandem.rehearsal.tasks.agent import HostAgent, Placement
from tandem.rehearsal.tasks.endpoint import Endpoint
from tandem.rehearsal.tasks.hosts import TaskError
from tandem.rehearsal.tasks.jobs import run_jobs
from tandem.rehearsal.tasks.launch import READY_SECONDS, Launcher, healthy
from tandem.rehearsal.tasks.part import Part, health, of_endpoint, of_task, status_port
from tandem.rehearsal.tasks.paths import require_admission, require_path
from tandem.rehearsal.tasks.registrations import register
from tandem.rehearsal.tasks.task import Task, deployed_tasks
from tandem.tenants import command as tenants
from tandem.tenants.store import Store

_TENANT = "rehearsal"
_DECODE = "decode"


@dataclass(frozen=True, slots=True)
class Service:
    """Hold what a client needs, and what runs."""

    url: str
    key: str
    model: str
    launcher: Launcher
    parts: list[Part]
    entries: list[dict[str, Any]]
    jobs: list[dict[str, Any]]

    @property
    def processes(self) -> Processes:
        """Every process of it that runs."""
        return self.launcher.processes

    @property
    def urls(self) -> list[str]:
        """Where clients reach each gateway."""
        return [part.url for part in self.parts if part.url]


@contextmanager
def serving(aws: Api, machine: Machine, *, most: int = 1) -> Iterator[Service]:
    """Start what was deployed, of each service ``most`` tasks, wait until it is ready, and stop it at the end."""
    tasks = deployed_tasks(aws)
    gateway, workers = _gateway(tasks), [task for task in tasks if task.discovery]
    _require_paths(aws, gateway, workers)
    shutil.rmtree(machine.work / "logs", ignore_errors=True)  # of what ran before, whose requests are others
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(machine.work / "logs"))
        agent = stack.enter_context(HostAgent(aws))
        launcher = Launcher(aws, machine, Addresses(machine.hosts_file), agent, processes)
        prepared = endpoints.prepare(aws, gateway, machine, launcher.addresses)
        key = _add_tenant(aws, gateway)
        jobs = run_jobs(launcher)
        outside = [(processes.start(endpoints.program(each, machine)), each) for each in prepared]
        placed = [
            (placement := launcher.place(task, number), launcher.start(placement))
            for task in [*workers, gateway]
            for number in range(1, max(1, min(most, task.desired_count)) + 1)
        ]
        entries = [_ready_endpoint(processes, *each) for each in outside]
        entries += [_ready_task(aws, processes, *pair) for pair in placed]
        parts: list[Part] = [of_endpoint(*each) for each in outside]
        parts += [of_task(aws, *pair) for pair in placed]
        for part in parts:
            processes.wait_ready(part.process, part.ready, READY_SECONDS)
        url = next(part.url for part in parts if part.url)
        yield Service(url, key, gateway.environment[settings.MODEL], launcher, parts, entries, jobs)


def _add_tenant(aws: Api, gateway: Task) -> str:
    """Return the key of a tenant, by ``tandem tenant add``; of one whom an earlier start added, another key."""
    arn = gateway.environment.get(settings.TENANTS_SECRET_ARN)
    if arn is None:
        raise TaskError(f"service {gateway.service} has no variable {settings.TENANTS_SECRET_ARN}: add it")
    store = Store(aws.client("secretsmanager"), arn)
    if any(tenant.id == _TENANT for tenant in store.read()):
        return tenants.rotate(store, _TENANT, at_once=True)
    return tenants.add(store, _TENANT, {})


def _gateway(tasks: Sequence[Task]) -> Task:
    found = [task for task in tasks if task.targets]
    if len(found) != 1:
        raise TaskError(f"{len(found)} services stand behind a load balancer; a deployment has one, the gateway")
    return found[0]


def _require_paths(aws: Api, gateway: Task, workers: Sequence[Task]) -> None:
    for worker in workers:
        for entry in worker.discovery:
            what = f"{gateway.service} to {worker.service}"
            for port in (entry.port, *status_port(worker)):
                require_path(aws, gateway.security_groups, worker.security_groups, port, what)
    readers = [worker for worker in workers if worker.environment.get(settings.STAGE) == _DECODE]
    for worker in workers:
        if worker not in readers:
            _require_readable(aws, worker, readers)


def _require_readable(aws: Api, worker: Task, readers: Sequence[Task]) -> None:
    """Require that ``readers`` reach a worker's KV; without any, that an endpoint elsewhere does."""
    side_channel = int(worker.environment.get(fabric.SIDE_CHANNEL_PORT, 0))
    if side_channel not in worker.ports:
        raise TaskError(
            f"service {worker.service}: port {side_channel} of {fabric.SIDE_CHANNEL_PORT} is not among its port "
            f"mappings ({', '.join(map(str, worker.ports))}): add the port mapping"
        )
    for reader in readers:
        what = f"{reader.service} to {worker.service}"
        require_path(aws, reader.security_groups, worker.security_groups, side_channel, what)
    if not readers:
        require_admission(aws, worker.security_groups, side_channel, f"decode endpoint to {worker.service}")


def _ready_endpoint(processes: Processes, process: Process, endpoint: Endpoint) -> dict[str, Any]:
    ready = processes.wait_ready(process, of_endpoint(process, endpoint).ready, READY_SECONDS)
    return {
        "name": process.name,
        "pid": process.popen.pid,
        "stands_for": endpoint.url,
        "task_definition": None,
        "address": endpoint.address,
        "ports": [endpoint.port],
        "ready_seconds": round(ready, 3),
    }


def _ready_task(aws: Api, processes: Processes, placement: Placement, process: Process) -> dict[str, Any]:
    task = placement.task
    register(aws, placement)  # as ECS does when a task runs, ready or not
    ready = processes.wait_ready(process, lambda: healthy(health(placement)), READY_SECONDS)
    return {
        "name": process.name,
        "pid": process.popen.pid,
        "task_definition": task.task_definition,
        "image": task.image,
        "command": list(task.command),
        "address": placement.address,
        "ports": list(task.ports),
        "desired_count": task.desired_count,
        "ready_seconds": round(ready, 3),
    }
