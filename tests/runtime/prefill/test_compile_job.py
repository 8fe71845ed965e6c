"""The compile job as ECS runs it, over a ``vllm`` that compiles, serves its health, ends or hangs as it is told."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.handoff import settings
from tests.patience import HUNG_SECONDS

OPENSSL = str(shutil.which("openssl"))
VLLM = f"""#!{sys.executable}
import http.server, json, os, pathlib, socket, ssl, sys
root = pathlib.Path(os.environ["{settings.HOST_ROOT}"])
(root / "started").write_text(json.dumps([sys.argv[1:], os.environ["VLLM_NEURON_CPU_COMPILE"]]))
way = os.environ["WAY"]
if way != "empty":
    graph = pathlib.Path(os.environ["VLLM_CACHE_ROOT"], "neuron/compile_cache/abc/model.neff")
    graph.parent.mkdir(parents=True, exist_ok=True)
    graph.write_text("neff")
if way in ("0", "7"):
    sys.exit(int(way))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if way == "hang" else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
port = next(int(a.partition("=")[2]) for a in sys.argv if a.startswith("--port="))
try:
    socket.socket().bind(("127.0.0.1", port))
    sys.exit("another program could have been given the port")
except OSError:
    pass
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(sys.argv[-1])
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
KV = '--kv-transfer-config={"kv_connector":"NixlConnector"}'


@pytest.fixture
def task(aws_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin/vllm"
    program.parent.mkdir()
    program.write_text(VLLM)
    program.chmod(0o755)
    return {
        **aws_environment,
        "PATH": f"{program.parent}:{os.path.dirname(OPENSSL)}",
        "VLLM_NEURON_CPU_COMPILE": "1",
        settings.START_SECONDS: "120",
    }


def run(task: dict[str, str], way: str) -> tuple[int, str, list[str]]:
    """Run the job; return its status, what it said, and the flags of ``vllm``, none where it was not started."""
    started = Path(task[settings.HOST_ROOT], "started")
    started.unlink(missing_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as worker:  # has the port that the flags name, which must not matter
        flags = ["org/model", f"--port={worker.getsockname()[1]}", KV, "--block-size=32"]
        command = [sys.executable, "-m", "runtime.prefill", "compile", *flags]
        ended = subprocess.run(
            command, env={**task, "WAY": way}, capture_output=True, text=True, timeout=HUNG_SECONDS, check=False
        )
    flags = json.loads(started.read_text())[0] if started.exists() else []
    return ended.returncode, ended.stdout + ended.stderr, flags


def manifests(s3: Any, task: dict[str, str]) -> int:
    prefix = task[settings.ARTIFACTS].removeprefix("s3://artifacts/")
    found = s3.list_objects_v2(Bucket="artifacts", Prefix=prefix).get("Contents", [])
    return sum(each["Key"].endswith("/manifest.json") for each in found)


@pytest.mark.parametrize("way", ["serve", "0"])
def test_what_it_compiles_it_publishes_and_the_next_job_has_nothing_to_do(
    task: dict[str, str], s3: Any, way: str
) -> None:
    status, said, flags = run(task, way)
    assert (status, manifests(s3, task)) == (0, 1), said
    assert flags[:2] == ["serve", "org/model"]
    assert flags[flags.index("--host") + 1] == "127.0.0.1"
    assert "--block-size=32" in flags
    assert KV not in flags, "there is no device to register"
    status, said, flags = run(task, way)
    assert (status, flags) == (0, []), said


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("7", "vLLM ended with status 7 before everything was compiled"),
        ("empty", "nothing is published"),
        ("hang", "raise start_seconds"),
    ],
)
def test_what_is_not_compiled_is_not_published_and_left_to_the_next(
    task: dict[str, str], s3: Any, way: str, said: str
) -> None:
    status, output, _ = run({**task, settings.START_SECONDS: "1"} if way == "hang" else task, way)
    assert (status, manifests(s3, task)) == (5, 0)
    assert said in output
    status, output, _ = run(task, "serve")
    assert (status, manifests(s3, task)) == (0, 1), output


def test_wrong_arguments_are_refused(task: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "runtime.prefill", "compile"], env=task, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, "MODEL" in ended.stderr) == (2, True)
