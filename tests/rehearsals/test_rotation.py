"""Rotate what can be rotated while requests flow: none is refused before, during or after."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from runtime.gateway.peers import readiness
from runtime.gateway.peers.workers import Address, Worker
from runtime.handoff import settings
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tandem.rehearsal.run import Rehearsal
from tandem.rehearsal.tasks.service import Service
from tandem.rehearsal.tasks.task import Task, deployed_tasks
from tandem.spec.read import parse
from tests.rehearsals.test_kills import ROOT, ask

pytestmark = pytest.mark.rehearsal

_SECONDS = 300  # gateways look every 30 seconds, and a worker within ten of their asking


class Flow:
    """Ask one thing after another in a thread; any error is kept."""

    def __init__(self, service: Service) -> None:
        self._service, self._stopped = service, threading.Event()
        self.answers, self.errors = 0, list[BaseException]()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                ask(self._service, "Hello?", then=lambda: None)
                self.answers += 1
            except Exception as error:  # whatever it is, the test fails on it
                self.errors.append(error)

    def end(self) -> None:
        """Stop, and fail where one request did."""
        self._stopped.set()
        self._thread.join()
        assert self.errors == []


def test_a_rotation_of_the_worker_key_refuses_no_request(tmp_path: Path) -> None:
    file = ROOT / "deployments" / "rehearsal.yaml"
    deployment, _ = parse(file.read_text(), file)
    assert deployment
    rehearsal = Rehearsal(file, deployment, root=ROOT, work=tmp_path, say=lambda text, end="": None)
    rehearsal.run([], hold=_scenario)


def _scenario(service: Service, cloud: EmbeddedCloud) -> None:
    [worker] = [task for task in deployed_tasks(cloud.api) if task.discovery]
    secrets, arn = cloud.api.client("secretsmanager"), worker.environment[settings.WORKER_SECRET_ARN]
    flow = Flow(service)
    try:
        before = secrets.get_secret_value(SecretId=arn)["SecretString"]
        secrets.rotate_secret(SecretId=arn)
        after = secrets.get_secret_value(SecretId=arn)["SecretString"]
        assert before != after
        known = _becomes_known(service, worker, after)
        answered = flow.answers
        while flow.answers < answered + 2 and not flow.errors:
            time.sleep(0.1)  # polled, since nothing announces it
        assert known.key not in (before, after)
    finally:
        flow.end()


def _becomes_known(service: Service, worker: Task, key: str) -> Worker:
    """Ask the worker as a gateway that knows the new key alone, until it proves to know it, too."""
    [entry] = [entry for entry in service.entries if entry["name"] == worker.service]
    address, port = Address(entry["address"], 0), int(worker.environment[settings.STATUS_PORT])
    deadline, found = time.monotonic() + _SECONDS, None
    while found is None:
        assert time.monotonic() < deadline
        time.sleep(0.5)  # polled, as above
        found = readiness.ready(address, status_port=port, keys=(key,))
    return found
