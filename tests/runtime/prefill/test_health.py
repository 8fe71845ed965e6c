"""What ECS is told of a worker's health, by the program that its health check runs."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest

from runtime.handoff import settings
from runtime.handoff.certificate import Certificate
from runtime.handoff.worker_status import State
from runtime.prefill import status
from runtime.prefill.health import KNOWN_SECONDS, healthy
from runtime.prefill.instance import ENDPOINT_VARIABLE
from runtime.prefill.keys import WorkerKeys
from runtime.prefill.status import Identity, Status
from tests.ports import free_port
from tests.runtime.prefill.conftest import ADDRESS

CERTIFICATE = Certificate.issue(ADDRESS)


@pytest.mark.parametrize("state", State)
def test_a_start_that_ecs_can_wait_for_counts_once_every_gateway_knows(state: State) -> None:
    waited_for = state in (State.FETCHING, State.STARTING)
    said = {"state": state.value, "seconds": 20, "state_seconds": KNOWN_SECONDS}
    assert healthy(said, 60) is not waited_for
    assert healthy({**said, "state_seconds": 9}, 60) is (not waited_for and state is not State.READY)
    assert healthy({**said, "seconds": 60}, 60), "the supervisor ends what takes too long, not ECS"


def test_the_time_in_a_state_begins_with_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(status, "time", SimpleNamespace(monotonic=lambda: now[0]))
    about = Status(State.STARTING)
    for now[0], state in ((110.0, State.READY), (115.0, State.READY)):
        about.state = state
    assert (about.told()["seconds"], about.told()["state_seconds"]) == (15, 5)


async def checked(metadata: str, port: int, *arguments: str) -> tuple[int | None, str]:
    environment = {ENDPOINT_VARIABLE: metadata, settings.STATUS_PORT: str(port)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.prefill.health", *arguments), env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    return process.returncode, said.decode()


async def test_the_program_asks_the_workers_own_port(metadata: str) -> None:
    keys = WorkerKeys({}, lambda _: None)
    told = Identity(address=ADDRESS, digest=CERTIFICATE.digest, api_key="hidden", keys=keys, versions={})
    about, port = Status(State.STARTING), free_port(ADDRESS)
    async with status.serving(about, told, CERTIFICATE.server(), port):
        assert await checked(metadata, port, "60") == (1, "")
        about.state = State.COMPILING
        assert await checked(metadata, port, "60") == (0, "")
    code, said = await checked(metadata, port, "60")
    assert (code, said.startswith("health: AskError: ConnectionRefusedError")) == (1, True)
    assert (await checked(metadata, port))[0] == 1
