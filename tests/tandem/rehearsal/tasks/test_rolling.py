"""What runs gives way to what is deployed, as many at a time as ECS may take, and nobody is told to end unasked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tandem.rehearsal.changes.rollout import require
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.images import Image, new_rootfs, save
from tandem.rehearsal.machine.addresses import Addresses
from tandem.rehearsal.machine.machine import Machine
from tandem.rehearsal.machine.processes import ProcessError, Processes
from tandem.rehearsal.run import DifferenceError
from tandem.rehearsal.tasks import rolling
from tandem.rehearsal.tasks.agent import HostAgent, Placement
from tandem.rehearsal.tasks.launch import Launcher
from tandem.rehearsal.tasks.part import Part, TaskPart
from tandem.rehearsal.tasks.registrations import register
from tandem.rehearsal.tasks.service import Service
from tests.patience import HUNG_SECONDS
from tests.tandem.rehearsal.tasks.test_launch import LIBRARY
from tests.tandem.rehearsal.tasks.test_registrations import discovered

SERVE = """
import signal, sys, threading
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
print("up", flush=True)
over.wait()
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("wanted", "least", "most", "expected"),
    [(2, 100, 200, (2, 0)), (2, 50, 100, (0, 1)), (3, 50, 100, (0, 1)), (4, 50, 100, (0, 2)), (1, 0, 100, (0, 1))],
)
def test_ecs_starts_and_stops_as_many_as_its_percentages_allow(
    wanted: int, least: int, most: int, expected: tuple[int, int]
) -> None:
    assert rolling.room(wanted, least, most) == expected


def says_up(part: Part) -> bool:
    return "up" in part.process.log.read_text()


class Fleet:
    """Run two workers of the small deployment, and replace them by what ``deployed`` is made to be."""

    def __init__(self, launcher: Launcher, worker: Placement, monkeypatch: pytest.MonkeyPatch) -> None:
        self.task, self.monkeypatch = worker.task, monkeypatch
        placements = [launcher.place(worker.task, number) for number in (1, 2)]
        parts: list[Part] = []
        for each in placements:
            parts.append(TaskPart("worker", launcher.start(each), lambda: True, placement=each))
            register(launcher.aws, each)
        for part in parts:
            launcher.processes.wait_ready(part.process, partial(says_up, part), HUNG_SECONDS)
        self.service = Service("", "key", "m", launcher, parts, [], [])

    def replace(self, **changed: object) -> list[rolling.Replaced]:
        """Roll the workers' service to a task definition with these changes."""
        task = replace(self.task, task_definition="another", **changed)  # type: ignore[arg-type]  # whatever it is
        self.monkeypatch.setattr(rolling, "deployed_tasks", lambda _: [task])
        return rolling.roll_tasks(self.service)


@pytest.fixture
def fleet(
    aws: Api, agent: HostAgent, worker: Placement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    image = Image(
        base=LIBRARY,
        rootfs=new_rootfs(tmp_path / "images", worker.task.image),
        workdir="/",
        env={},
        entrypoint=("python3", "-c", SERVE),
        cmd=(),
    )
    save(tmp_path / "images", worker.task.image, image)
    serving = replace(worker, task=replace(worker.task, command=("0",), hosts=("i-1", "i-2")))
    machine = Machine(root=Path.cwd(), work=tmp_path, endpoint=aws.endpoint, region=aws.region)
    with Processes(tmp_path / "logs") as processes:
        launcher = Launcher(aws, machine, Addresses(machine.hosts_file), agent, processes)
        yield Fleet(launcher, serving, monkeypatch)
    service = worker.task.discovery[0].arn.rpartition("/")[2]
    for name in discovered(aws, "workers"):  # those of a replacement that failed among them
        aws.client("servicediscovery").deregister_instance(ServiceId=service, InstanceId=name)


def names(fleet: Fleet) -> list[str]:
    return [part.process.name for part in fleet.service.parts]


def test_workers_are_replaced_one_by_one_at_their_own_addresses(fleet: Fleet, aws: Api) -> None:
    before = {part.placement.address for part in fleet.service.parts if isinstance(part, TaskPart)}
    [replaced] = fleet.replace(health=("CMD", sys.executable, "-c", ""))
    assert (replaced.batches, names(fleet)) == ([1, 1], ["worker-run-2", "worker-2-run-2"])
    found = discovered(aws, "workers")
    assert {found[name]["AWS_INSTANCE_IPV4"] for name in names(fleet)} == before
    assert {"worker", "worker-2"} & found.keys() == set()
    assert [process.name for process in fleet.service.processes.running] == names(fleet)


def test_nothing_is_replaced_that_runs_what_is_deployed(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "deployed_tasks", lambda _: [fleet.task])
    assert rolling.roll_tasks(fleet.service) == []


def test_a_task_that_never_counts_as_healthy_stops_the_deployment(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "READY_SECONDS", 0.5)
    with pytest.raises(ProcessError, match="worker-run-2 did not become ready"):
        fleet.replace(health=("CMD-SHELL", "exit 1"))
    assert names(fleet) == ["worker-2"], "the other one serves on"


def test_a_deployment_that_may_do_nothing_is_named(fleet: Fleet) -> None:
    with pytest.raises(ProcessError, match="worker may neither start nor stop a task of 2: its deployment would hang"):
        fleet.replace(least_percent=100, most_percent=100)


def test_a_task_that_does_not_end_well_is_named(fleet: Fleet) -> None:
    first = fleet.service.parts[0]
    first.process.popen.kill()
    with pytest.raises(ProcessError, match="worker ended with status -9"):
        fleet.replace()


def test_an_update_that_cost_a_request_or_met_none_proves_nothing() -> None:
    met = {"name": "gateway", "under_way": 8}
    require([], [met])
    with pytest.raises(DifferenceError, match="1 requests suffered from the update: a stream failed"):
        require(["a stream failed"], [met])
    with pytest.raises(DifferenceError, match=r"nobody asked while these were told to end.*\['gateway'\]"):
        require([], [{**met, "under_way": 0}])
    with pytest.raises(DifferenceError, match="proves nothing"):
        require([], [])
