"""Start a deployed task on this machine: its image, command, variables and secrets, and what its host adds."""

from __future__ import annotations

import shutil
import socket
import ssl
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from runtime.handoff import settings
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.images import Image, load
from tandem.rehearsal.machine.addresses import Addresses, require_free
from tandem.rehearsal.machine.machine import Machine
from tandem.rehearsal.machine.processes import Process, Processes, Program
from tandem.rehearsal.machine.programs import programs_folder, sidecar_program
from tandem.rehearsal.tasks.agent import HostAgent, Placement
from tandem.rehearsal.tasks.secrets import secret_environment
from tandem.rehearsal.tasks.task import Sidecar, Task

READY_SECONDS = 120
_PROBE_SECONDS = 2.0
# no proxy leads to an address of the rehearsal's own; and as a load balancer does, it verifies no target's certificate
_DIRECT = urllib.request.build_opener(
    urllib.request.ProxyHandler({}),
    urllib.request.HTTPSHandler(context=ssl._create_unverified_context()),  # noqa: S323 - as just said
)


@dataclass(frozen=True, slots=True)
class Launcher:
    """Start tasks on this machine, each at an address of its own."""

    aws: Api
    machine: Machine
    addresses: Addresses
    agent: HostAgent
    processes: Processes

    def place(self, task: Task, number: int = 1) -> Placement:
        """Give one task of a service a host, or a network interface."""
        return Placement(task, self.addresses.take(), number)

    def start(self, placement: Placement) -> Process:
        """Start a task that was placed; it is not ready yet."""
        task, machine = placement.task, self.machine
        image = load(machine.work / "images", task.image)
        for port in task.ports:
            require_free(placement.address, port, task.service)
        if placement.number == placement.run == 1:  # its other tasks, who have the same resolver, share its sidecars
            for sidecar in task.sidecars:
                self.processes.start(self._beside(task, sidecar))
        program = Program(
            name=placement.name,
            command=[*image.entrypoint, *(task.command or image.cmd)],
            environment=_environment(self.aws, placement, image, machine, self.agent),
            cwd=image.rootfs / image.workdir.lstrip("/"),
        )
        return self.processes.start(program)

    def _beside(self, task: Task, sidecar: Sidecar) -> Program:
        """Return the program of a sidecar.

        Containers of one task share a loopback interface, of which this machine has one for all rehearsals: the
        sidecar has an address of its own, and the name of the loopback interface leads there by its port.
        """
        name, (module, port) = f"{task.service}-{sidecar.container}", sidecar_program(sidecar.image)
        address = self.addresses.take()
        require_free(address, port, name)
        self.addresses.name(f"http://localhost:{port}", address, port)
        return Program(
            name=name,
            command=[sys.executable, "-m", module, f"--host={address}", f"--port={port}", *sidecar.command],
            environment=self.machine.environment(),
            cwd=self.machine.root,
        )


def _environment(aws: Api, placement: Placement, image: Image, machine: Machine, agent: HostAgent) -> Mapping[str, str]:
    task, local = placement.task, machine.environment()
    folder = programs_folder(image.base, machine.work / "programs", machine.root)
    local["PATH"] = f"{folder}:{local['PATH']}"
    # Fargate tells the region; on EC2 instance metadata does, and here the rehearsal
    local["AWS_REGION"] = local["AWS_DEFAULT_REGION"] = machine.region
    if task.devices or task.volumes:
        local[settings.HOST_ROOT] = str(_devices(machine.work / "devices" / placement.name, task.devices))
    return {**image.env, **task.environment, **secret_environment(aws, task), **agent.place(placement), **local}


def _devices(root: Path, paths: Sequence[str]) -> Path:
    """Make the devices that a task definition maps into its container, and no others; return their root."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for path in paths:
        device = root / path.lstrip("/")
        device.parent.mkdir(parents=True, exist_ok=True)
        device.touch()
    return root


def listening(address: str, port: int) -> bool:
    """Tell whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def healthy(url: str) -> bool:
    """Tell whether ``url`` answers with a status below 400."""
    try:
        with _DIRECT.open(url, timeout=_PROBE_SECONDS):
            return True
    except (OSError, HTTPException):
        return False
