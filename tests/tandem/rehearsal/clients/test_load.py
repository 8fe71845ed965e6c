"""Clients that ask without pause notice every request that failed, and every answer that is not as it must be."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tandem.rehearsal.clients.load import Load
from tandem.rehearsal.clients.prompts import Prompt
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.machine.addresses import Addresses
from tandem.rehearsal.machine.machine import Machine
from tandem.rehearsal.machine.processes import Processes, Program
from tandem.rehearsal.tasks.agent import HostAgent
from tandem.rehearsal.tasks.launch import Launcher
from tandem.rehearsal.tasks.part import Part
from tandem.rehearsal.tasks.service import Service
from tests.patience import HUNG_SECONDS
from tests.tandem.rehearsal.clients.test_readers import chunk

PROMPTS = [Prompt(name="one", text="Hello?", max_tokens=8)]
ALONE = [{"text": "ab", "token_ids": [1, 2]}]
ENOUGH = 30


class Gateway(ThreadingHTTPServer):
    """Answer as ``ALONE``, but for what ``fault`` says of streams; ``enough`` is set after many requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.asked, self.enough = "", 0, threading.Event()


class Handler(BaseHTTPRequestHandler):
    """Answer one request."""

    server: Gateway

    def do_POST(self) -> None:
        """Stream, or answer whole."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        if self.server.asked > ENOUGH:
            self.server.enough.set()
        if not body.get("stream"):
            answer = {"message": {"role": "assistant", "content": "ab"}, "index": 0, "finish_reason": "stop"}
            self._send(200, "application/json", json.dumps({"id": "c", "choices": [answer], "model": "m"}))
        elif self.server.fault == "refused":
            self._send(503, "application/json", "{}")
        else:
            second = chunk(
                "c" if self.server.fault == "other" else "b", [2], (self.server.fault != "cut" and "stop") or None
            )
            text = "".join(f"data: {json.dumps(each)}\n\n" for each in (chunk("a", [1]), second))
            self._send(200, "text/event-stream", text + "data: [DONE]\n\n")

    def _send(self, status: int, kind: str, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("", None),
        ("refused", "a stream failed: InternalServerError"),
        ("cut", "a stream ended without a finish reason"),
        ("other", "a stream differs from a single process"),
    ],
)
def test_what_a_client_was_not_given_is_told(
    gateway: Gateway, fault: str, said: str | None, aws: Api, agent: HostAgent, tmp_path: Path
) -> None:
    gateway.fault = fault
    machine = Machine(root=tmp_path, work=tmp_path, endpoint=aws.endpoint, region=aws.region)
    with Processes(tmp_path) as processes:
        launcher = Launcher(aws, machine, Addresses(machine.hosts_file), agent, processes)
        process = processes.start(Program(name="gateway", command=["sleep", "600"], environment={}, cwd=tmp_path))
        part = Part("gateway", process, lambda: True, f"http://127.0.0.1:{gateway.server_address[1]}")
        with Load(Service("", "key", "m", launcher, [part], [], []), PROMPTS) as load:
            assert gateway.enough.wait(HUNG_SECONDS)
    wrong = load.wrong(ALONE)
    assert len(load.asked) > ENOUGH
    assert {each.stream for each in load.asked} == {True, False}
    assert len(wrong) == (sum(each.stream for each in load.asked) if said else 0)
    assert all(said is not None and each.startswith(said) for each in wrong)
