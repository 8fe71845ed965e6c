"""The supervisor as a process of its own over a vLLM that does as it is told; signals are real."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.patience import HUNG_SECONDS
from tests.ports import free_port

ADDRESS = "127.45.6.9"
UNVERIFIED = ssl._create_unverified_context()  # noqa: S323 - the certificate is of a process that this test starts

VLLM = r"""
import http.server, json, os, pathlib, signal, ssl, sys
folder, host, port = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
(folder / "pid").write_text(str(os.getpid()))
def stop(*_):
    (folder / "stopped").touch()
    if not (folder / "deaf").exists():
        os._exit(0)
signal.signal(signal.SIGTERM, stop)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            self.reply(200 if (folder / "healthy").exists() else 503, b"")
        else:
            self.reply(200, (folder / "metrics").read_bytes())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (folder / "asked").write_text(json.dumps([self.path, self.headers["Authorization"], json.loads(body)]))
        self.reply(500 if (folder / "mute").exists() else 200, b"{}")
    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer((host, port), Handler)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""

SUPERVISE = """
import asyncio, pathlib, sys
from runtime.handoff.certificate import Certificate
from runtime.prefill import status
from runtime.prefill.engine import Engine
from runtime.prefill.keys import WorkerKeys
from runtime.prefill.start import Start
from runtime.prefill.supervisor import Limits, Supervisor
host, port, status_port, start, cold, drain, silent, kill, *command = sys.argv[1:]
folder = pathlib.Path(command[3])
start = Start(warm=float(start), cold=float(cold), compiles=(folder / "compiles").exists)
limits = Limits(start=start, drain=float(drain), poll=0.05, quiet=0.3, silent=float(silent), kill=float(kill))
async def run():
    say = lambda text: print(text, flush=True)
    certificate = Certificate.issue(host)
    state = status.Status()
    identity = status.Identity(
        address=host, digest=certificate.digest, api_key="secret", keys=WorkerKeys({}, say), versions={}
    )
    engine = Engine(url=f"https://{host}:{port}", model="org/model", key="secret", trust=certificate.client())
    async with status.serving(state, identity, certificate.server(), int(status_port)):
        return await Supervisor(engine, state, limits, say, beside).run([*command, certificate.path], {})
async def beside():
    (folder / "beside").touch()
    await asyncio.Event().wait()
sys.exit(asyncio.run(run()))
"""


@dataclass
class Worker:
    """Hold a supervised vLLM; ``set`` and ``unset`` change how it behaves."""

    folder: Path
    status: str
    process: subprocess.Popen[str]

    def set(self, name: str, text: str = "") -> None:
        """Switch something on."""
        (self.folder / name).write_text(text)

    def unset(self, name: str) -> None:
        """Switch something off."""
        (self.folder / name).unlink()

    def state(self) -> tuple[int, str]:
        """Return what the status port says; (0, "") where nothing listens."""
        try:
            with urllib.request.urlopen(self.status, context=UNVERIFIED, timeout=HUNG_SECONDS) as answer:  # noqa: S310 - loopback
                return answer.status, json.load(answer)["state"]
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)["state"]
        except OSError:
            return 0, ""

    def becomes(self, state: str) -> None:
        """Wait for a state."""
        code = 200 if state == "ready" else 503
        until(lambda: self.state() == (code, state))

    def ends(self) -> tuple[int, str]:
        """Return the exit status and everything said."""
        out, _ = self.process.communicate(timeout=HUNG_SECONDS)
        return self.process.returncode, out

    def held(self, running: float = 0, kv: float = 0.0) -> None:
        """Let vLLM say what it holds."""
        rows = {"num_requests_running": running, "num_requests_waiting": 0, "kv_cache_usage_perc": kv}
        text = "".join(f'vllm:{name}{{engine="0",model_name="m"}} {value}\n' for name, value in rows.items())
        fresh = self.folder / "metrics.new"
        fresh.write_text(text)
        fresh.replace(self.folder / "metrics")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HUNG_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # polled, since nothing announces it


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor and its vLLM."""
    started = []

    def run(
        *,
        start: float = HUNG_SECONDS,
        cold: float = HUNG_SECONDS,
        drain: float = HUNG_SECONDS,
        silent: float = HUNG_SECONDS,
        kill: float = HUNG_SECONDS,
        healthy: bool = True,
    ) -> Worker:
        api, status = free_port(ADDRESS), free_port(ADDRESS)
        command = [sys.executable, "-c", VLLM, str(tmp_path), ADDRESS, str(api)]
        limits = map(str, (start, cold, drain, silent, kill))
        arguments = [ADDRESS, str(api), str(status), *limits, *command]
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        worker = Worker(tmp_path, f"https://{ADDRESS}:{status}/ready", process)
        worker.held()
        if healthy:
            worker.set("healthy")
        return worker

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_worker_is_ready_once_it_generates(start: Start) -> None:
    worker = start(healthy=False)
    worker.becomes("starting")
    assert not (worker.folder / "asked").exists()
    worker.set("healthy")
    worker.becomes("ready")
    path, authorization, body = json.loads((worker.folder / "asked").read_text())
    assert (path, authorization) == ("/v1/chat/completions", "Bearer secret")
    assert (body["model"], body["max_tokens"]) == ("org/model", 1)


def test_one_that_is_up_and_generates_nothing_is_ended(start: Start) -> None:
    worker = start(healthy=False)
    worker.set("mute")
    worker.set("healthy")
    code, said = worker.ends()
    assert code == 5
    assert "vLLM is up and generates nothing" in said
    assert "HTTP 500" in said
    assert (worker.folder / "stopped").exists()


def test_one_that_takes_too_long_to_start_is_ended(start: Start) -> None:
    code, said = start(start=0.5, healthy=False).ends()
    assert (code, "raise warm_start_seconds" in said) == (5, True)


def test_one_that_compiles_says_so_and_has_longer(start: Start, tmp_path: Path) -> None:
    (tmp_path / "compiles").touch()
    worker = start(start=0.01, healthy=False)
    worker.becomes("compiling")
    worker.set("healthy")
    worker.becomes("ready")
    until((worker.folder / "beside").exists)


def test_one_that_compiles_for_too_long_is_ended(start: Start, tmp_path: Path) -> None:
    (tmp_path / "compiles").touch()
    code, said = start(cold=0.5, healthy=False).ends()
    assert (code, "raise start_seconds" in said) == (5, True)


def test_one_that_falls_silent_takes_no_requests_until_it_speaks_again(start: Start) -> None:
    worker = start()
    worker.becomes("ready")
    worker.unset("healthy")
    worker.becomes("silent")
    worker.set("healthy")
    worker.becomes("ready")


def test_one_that_stays_silent_is_ended(start: Start) -> None:
    worker = start(silent=0.3)
    worker.becomes("ready")
    worker.unset("healthy")
    code, said = worker.ends()
    assert (code, "has not answered /health" in said) == (5, True)


def test_one_that_ends_by_itself_leaves_its_status(start: Start) -> None:
    worker = start()
    worker.becomes("ready")
    os.kill(int((worker.folder / "pid").read_text()), signal.SIGKILL)
    assert worker.ends()[0] == 128 + signal.SIGKILL


@pytest.mark.parametrize("held", [{"running": 1}, {"kv": 0.25}])
def test_sigterm_waits_for_requests_and_for_kv_that_is_to_be_read(start: Start, held: dict[str, float]) -> None:
    worker = start()
    worker.becomes("ready")
    worker.held(**held)
    worker.process.send_signal(signal.SIGTERM)
    worker.becomes("draining")
    with pytest.raises(subprocess.TimeoutExpired):  # something is held, so it has to be there for a while
        worker.process.wait(1.0)
    assert not (worker.folder / "stopped").exists()
    worker.held()
    code, said = worker.ends()
    assert (code, said.splitlines()[-1]) == (0, "drained")
    assert (worker.folder / "stopped").exists()


def test_a_drain_ends_at_its_bound(start: Start) -> None:
    worker = start(drain=0.5)
    worker.becomes("ready")
    worker.held(kv=0.5)
    worker.process.send_signal(signal.SIGTERM)
    code, said = worker.ends()
    assert (code, "drained only in part" in said) == (0, True)


def test_metrics_that_are_missing_do_not_pass_for_nothing_held(start: Start) -> None:
    worker = start()
    worker.becomes("ready")
    worker.set("metrics", "vllm:num_requests_running 0\n")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.stdout is not None
    for line in worker.process.stdout:
        if "vllm:num_requests_waiting is not among the metrics" in line:
            break
    with pytest.raises(subprocess.TimeoutExpired):  # it would have drained by now
        worker.process.wait(1.0)
    worker.process.send_signal(signal.SIGTERM)
    code, said = worker.ends()
    assert (code, "drained" in said) == (0, False)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_sigint_or_a_second_sigterm_stops_at_once(start: Start, signals: list[signal.Signals]) -> None:
    worker = start()
    worker.becomes("ready")
    worker.held(running=1)
    for number in signals:
        worker.process.send_signal(number)
        if number is signal.SIGTERM and (worker.folder / "stopped").exists() is False:
            until(lambda: worker.state()[1] in ("draining", ""))
    code, said = worker.ends()
    assert (code, "drained" in said) == (0, False)


def test_while_vllm_starts_there_is_nothing_to_wait_for(start: Start) -> None:
    worker = start(healthy=False)
    worker.becomes("starting")
    until((worker.folder / "pid").exists)
    worker.process.send_signal(signal.SIGTERM)
    assert "draining" not in worker.ends()[1]


def test_one_that_does_not_heed_sigterm_is_killed(start: Start) -> None:
    worker = start(kill=0.3)
    worker.becomes("ready")
    worker.set("deaf")
    worker.process.send_signal(signal.SIGINT)
    code, said = worker.ends()
    assert (code, "vLLM is killed" in said) == (128 + signal.SIGKILL, True)


def test_the_status_port_answers_nothing_else(start: Start) -> None:
    worker = start()
    worker.becomes("ready")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(worker.status.replace("/ready", "/"), context=UNVERIFIED, timeout=HUNG_SECONDS)  # noqa: S310 - loopback
