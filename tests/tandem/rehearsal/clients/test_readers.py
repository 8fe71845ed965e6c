"""Clients that read many streams go on where one breaks, and tell what broke."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from tandem.rehearsal.changes.kills import require
from tandem.rehearsal.clients import readers
from tandem.rehearsal.clients.prompts import Prompt, PromptError
from tandem.rehearsal.clients.readers import Readers, Reading
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.machine.addresses import Addresses
from tandem.rehearsal.machine.machine import Machine
from tandem.rehearsal.machine.processes import Processes, Program
from tandem.rehearsal.run import DifferenceError
from tandem.rehearsal.tasks.agent import HostAgent
from tandem.rehearsal.tasks.launch import Launcher
from tandem.rehearsal.tasks.part import Part
from tandem.rehearsal.tasks.service import Service

PROMPT = Prompt(name="short", text="Hello?", max_tokens=8)


def chunk(text: str, ids: list[int], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish, "token_ids": ids}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def read(*chunks: dict[str, Any]) -> Reading:
    reading = Reading(PROMPT)
    for each in chunks:
        reading.take(ChatCompletionChunk.model_validate(each))
    return reading


def test_a_token_counts_once_its_text_came() -> None:
    reading = read(chunk("a", [1]), chunk("", [2]))
    assert (reading.text, reading.ids) == ("a", [1])
    assert read(chunk("a", [1]), chunk("", [2]), chunk("é", [3])).ids == [1, 2, 3]
    assert read(chunk("a", [1]), chunk("", [2], "length")).ids == [1, 2]


def test_what_came_without_text_before_a_break_is_asked_for_again() -> None:
    reading = read(chunk("a", [1]), chunk("", [2]))
    reading.again(reading.broke, "gone")
    reading.take(ChatCompletionChunk.model_validate(chunk("b", [2])))
    assert reading.ids == [1, 2]


def test_a_client_gives_up_at_last() -> None:
    reading = Reading(PROMPT)
    for _ in range(20):
        reading.again(reading.refused, "gone")
    with pytest.raises(PromptError, match="prompt short was not answered: gone"):
        reading.again(reading.refused, "gone")


class Server:
    """Break the first stream after two tokens, refuse the second request, and answer the third with the rest."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[list[int]] = []
        self.status = 503

    def answer(self, received: list[int]) -> tuple[int, list[dict[str, Any]], bool]:
        """Return status, chunks, and whether the answer is whole."""
        self.asked.append(received)
        if len(self.asked) == 1:
            return 200, [chunk("a", [1]), chunk("b", [2])], False
        if len(self.asked) == 2:
            return self.status, [], True
        return 200, [chunk("c", [3]), chunk("", [], "stop")], True


@pytest.fixture
def server() -> Iterator[Server]:
    listener = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server = Server(f"http://127.0.0.1:{listener.server_address[1]}")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, chunks, whole = server.answer(body["received_token_ids"])
            text = "".join(f"data: {json.dumps(each)}\n\n" for each in chunks) + ("data: [DONE]\n\n" if whole else "")
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(text) + (0 if whole else 100)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    listener.RequestHandlerClass = Handler
    thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    listener.shutdown()
    thread.join()
    listener.server_close()


@pytest.fixture
def service(
    server: Server, aws: Api, agent: HostAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    monkeypatch.setattr(readers, "_PAUSE_SECONDS", 0)
    with Processes(tmp_path) as processes:
        program = Program(name="gateway", command=["sleep", "600"], environment={}, cwd=tmp_path)
        part = Part("gateway", processes.start(program), lambda: True, server.url)
        machine = Machine(root=tmp_path, work=tmp_path, endpoint=aws.endpoint, region=aws.region)
        launcher = Launcher(aws, machine, Addresses(machine.hosts_file), agent, processes)
        yield Service(server.url, "key", "m", launcher, [part], [], [])


def test_a_stream_that_broke_is_gone_on_with(service: Service, server: Server) -> None:
    told: list[int] = []
    [reading] = Readers(service, after=2, then=lambda: told.append(len(server.asked))).read([PROMPT])
    assert (reading.text, reading.ids, reading.finished) == ("abc", [1, 2, 3], True)
    assert server.asked == [[], [1, 2], [1, 2]]
    assert told == [1]
    assert (len(reading.broke), len(reading.refused)) == (1, 1)
    assert "503" in reading.refused[0]


def test_what_is_the_request_s_own_fault_is_not_asked_again(service: Service, server: Server) -> None:
    server.status = 400
    with pytest.raises(PromptError, match="prompt short was refused"):
        asyncio.run(Readers(service, after=1, then=lambda: None)._all([PROMPT]))


FOUND = {"process": "p", "signal": "SIGTERM", "streams": 200, "as_alone": 200, "resumed": 0, "broke": {}, "status": 0}


def test_only_the_clients_of_a_killed_gateway_may_notice() -> None:
    require(FOUND, of_killed_gateway=False)
    require({**FOUND, "signal": "SIGKILL", "resumed": 100, "status": -9}, of_killed_gateway=True)
    with pytest.raises(DifferenceError, match="p got SIGTERM, and streams broke for clients"):
        require({**FOUND, "resumed": 1}, of_killed_gateway=False)
    with pytest.raises(DifferenceError, match="p got SIGTERM, and 2 streams differ from a single process's"):
        require({**FOUND, "as_alone": 198}, of_killed_gateway=True)
    with pytest.raises(DifferenceError, match="p got SIGTERM, and ended with status None"):
        require({**FOUND, "status": None}, of_killed_gateway=False)
