"""A rehearsed process resolves the deployment's names, and ends with the rehearsal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.rehearsal.machine import names
from tests.patience import HUNG_SECONDS

FOLDER = Path(next(iter(names.__path__)))
RESOLVE = """
import socket, sys
for name, port in [line.split() for line in sys.stdin]:
    port = int(port) if port.isdecimal() else port
    try:
        print(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][4][:2])
    except socket.gaierror:
        print("unknown")
"""


def environment(hosts: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER), "TANDEM_REHEARSAL_HOSTS": str(hosts), **more}


def resolve(hosts: Path, *lines: str) -> list[str]:
    text = "\n".join(lines)
    return subprocess.run(
        [sys.executable, "-c", RESOLVE], input=text, env=environment(hosts), capture_output=True, text=True, check=True
    ).stdout.splitlines()


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.json"
    path.write_text(json.dumps({"cs3.example.com:443": ["127.70.0.1", 8443]}))
    return path


def test_a_known_name_and_port_lead_to_their_own_place(hosts: Path) -> None:
    found = resolve(hosts, "cs3.example.com 443", "CS3.Example.com 443")
    assert found == ["('127.70.0.1', 8443)"] * 2


def test_other_names_and_ports_are_left_alone(hosts: Path) -> None:
    found = resolve(hosts, "localhost 443", "127.0.0.1 80", "cs3.example.invalid 443")
    assert found == [found[0], "('127.0.0.1', 80)", "unknown"]
    assert found[0] in ("('127.0.0.1', 443)", "('::1', 443)")


def test_another_port_of_a_known_name_is_not_its_place(hosts: Path) -> None:
    hosts.write_text(json.dumps({"localhost:443": ["127.70.0.1", 8443]}))
    assert resolve(hosts, "localhost 443", "localhost 444")[0] == "('127.70.0.1', 8443)"
    assert "444" in resolve(hosts, "localhost 444")[0]


def test_names_are_read_anew_and_may_come_later(tmp_path: Path) -> None:
    hosts = tmp_path / "later.json"
    program = f"""
import json, pathlib, socket
print(socket.getaddrinfo("127.0.0.1", 80)[0][4][0])
pathlib.Path({str(hosts)!r}).write_text(json.dumps({{"worker:1": ["127.70.0.9", 2]}}))
print(socket.getaddrinfo(b"worker", 1)[0][4])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(hosts), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["127.0.0.1", "('127.70.0.9', 2)"]


def test_does_nothing_outside_a_rehearsal(hosts: Path) -> None:
    quiet = environment(hosts)
    del quiet["TANDEM_REHEARSAL_HOSTS"]
    program = "import socket; print(socket.getaddrinfo.__module__)"
    done = subprocess.run([sys.executable, "-c", program], env=quiet, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "socket"


PARENT = """
import os, subprocess, sys
environment = {**os.environ, "TANDEM_REHEARSAL_PID": str(os.getpid() if sys.argv[1] == "own" else 1)}
child = subprocess.Popen([sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"],
                         env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
os._exit(0)
"""


@pytest.fixture
def orphan(hosts: Path) -> Callable[[str], int]:
    def start(whose: str) -> int:
        command = [sys.executable, "-c", PARENT, whose]
        done = subprocess.run(
            command, env=environment(hosts), capture_output=True, text=True, check=True, timeout=HUNG_SECONDS
        )
        return int(done.stdout)

    return start


def test_a_process_ends_with_the_rehearsal_that_started_it(orphan: Callable[[str], int]) -> None:
    pid, deadline = orphan("own"), time.monotonic() + HUNG_SECONDS
    while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
        assert time.monotonic() < deadline, "the child outlived its rehearsal"
        time.sleep(0.02)


def test_a_process_that_the_rehearsal_did_not_start_goes_on(orphan: Callable[[str], int]) -> None:
    pid = orphan("other")
    try:
        assert _state(pid) != "Z"
    finally:
        os.kill(pid, 9)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"
