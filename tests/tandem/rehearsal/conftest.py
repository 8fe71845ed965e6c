"""An embedded AWS a module, the small deployment in it, and the agent of its hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tandem.rehearsal.tasks.agent import HostAgent, Placement
from tandem.rehearsal.tasks.task import Task, deployed_tasks
from tests.tandem.rehearsal.deployed import create, resources


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Run an account for one module: there is one at a time in a process, and other folders start their own."""
    with EmbeddedCloud("111122223333", "us-east-2", tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud.api


@pytest.fixture(scope="module")
def ids(aws: Api) -> dict[str, str]:
    """Deploy the small deployment, which ends with the account; return its physical ids."""
    return create(aws, "deployed", resources())


@pytest.fixture(scope="module")
def tasks(aws: Api, ids: dict[str, str]) -> dict[str, Task]:
    """Return the tasks of the small deployment by their service."""
    return {task.service: task for task in deployed_tasks(aws)}


@pytest.fixture(scope="module")
def gateway(tasks: dict[str, Task]) -> Placement:
    """Place the gateway's task."""
    return Placement(tasks["gateway"], "127.70.0.1")


@pytest.fixture(scope="module")
def worker(tasks: dict[str, Task]) -> Placement:
    """Place the worker's task."""
    return Placement(tasks["worker"], "127.70.0.2")


@pytest.fixture(scope="module")
def agent(aws: Api) -> Iterator[HostAgent]:
    """Run the agent of every host."""
    with HostAgent(aws) as running:
        yield running
