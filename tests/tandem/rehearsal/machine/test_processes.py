"""Processes are watched while they run, and none of them, nor of their children, outlives the rehearsal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tandem.rehearsal.machine import processes as module
from tandem.rehearsal.machine.processes import Process, ProcessError, Processes, Program
from tests.patience import HUNG_SECONDS

IDLE = "print('up', flush=True); import time; time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); {IDLE}"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "logs") as processes:
        yield processes


def program(source: str, *, name: str = "worker", **environment: str) -> Program:
    return Program(name=name, command=[sys.executable, "-c", source], environment=environment, cwd=Path("/"))


def says(process: Process, text: str = "up") -> Callable[[], bool]:
    return lambda: text in process.log.read_text()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def await_gone(pid: int) -> None:
    deadline = time.monotonic() + HUNG_SECONDS
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


def test_starts_waits_and_stops(running: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", HUNG_SECONDS)
    process = running.start(program(IDLE))
    seconds = running.wait_ready(process, says(process), HUNG_SECONDS)
    assert 0 < seconds < HUNG_SECONDS
    assert not process.exited()
    running.stop(process)
    assert process.popen.returncode == -signal.SIGINT
    assert running.running == []


def test_gives_a_process_its_environment_and_folder_and_nothing_else(running: Processes, tmp_path: Path) -> None:
    source = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}), os.environ['A'], os.getcwd())"
    command = [sys.executable, "-c", source]
    process = running.start(Program(name="worker", command=command, environment={"A": "1"}, cwd=tmp_path))
    assert process.popen.wait(HUNG_SECONDS) == 0
    assert process.log.read_text() == f"['A'] 1 {tmp_path}\n"


def test_a_process_is_in_no_group_that_a_terminal_interrupts(running: Processes) -> None:
    process = running.start(program(IDLE))
    assert os.getpgid(process.popen.pid) == os.getsid(process.popen.pid) == process.popen.pid


def test_shows_the_end_of_the_log_of_a_program_that_failed(running: Processes) -> None:
    source = "import sys; [print('line', i, flush=True) for i in range(30)]; sys.exit('no such model')"
    process = running.start(program(source))
    with pytest.raises(ProcessError) as raised:
        running.wait_ready(process, lambda: False, HUNG_SECONDS)
    head, *lines = str(raised.value).splitlines()
    assert head == "worker ended with status 1; its log ends with:"
    assert len(lines) == 12
    assert lines[-1] == "  no such model"
    assert "  line 19" in lines
    assert "  line 18" not in lines


def test_says_which_program_did_not_become_ready(running: Processes) -> None:
    process = running.start(program("print(b'\\xff', flush=True); import time; time.sleep(600)"))
    with pytest.raises(ProcessError, match="worker did not become ready; its log ends with"):
        running.wait_ready(process, lambda: False, 0.1)


@pytest.mark.parametrize(
    ("command", "cwd"), [(["no-such-program"], "/"), ([sys.executable], "/no-such-folder"), (["/"], "/")]
)
def test_says_which_program_cannot_be_started(running: Processes, command: list[str], cwd: str) -> None:
    wanted = Program(name="worker", command=command, environment={"PATH": os.environ["PATH"]}, cwd=Path(cwd))
    with pytest.raises(ProcessError, match=rf"worker cannot start {command[0]} in {cwd}: (no such file|permission)"):
        running.start(wanted)
    assert running.running == []


def test_kills_what_does_not_heed_sigint(running: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.2)
    process = running.start(program(DEAF))
    running.wait_ready(process, says(process), HUNG_SECONDS)
    running.stop(process)
    assert process.popen.returncode == -signal.SIGKILL


CHILD_OF = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print("child", child.pid, flush=True)
{then}
"""


@pytest.mark.parametrize("child", [IDLE, DEAF])
@pytest.mark.parametrize("then", ["import time; time.sleep(600)", "import os; os._exit(3)"])
def test_children_end_too_even_where_their_parent_has_ended(running: Processes, child: str, then: str) -> None:
    process = running.start(program(CHILD_OF.format(child=child, then=then)))
    running.wait_ready(process, says(process, "child"), HUNG_SECONDS)
    pid = int(process.log.read_text().split()[1])
    if "_exit" in then:
        process.popen.wait(HUNG_SECONDS)
    assert not gone(pid)
    running.stop(process)
    await_gone(pid)


def test_leaving_stops_all_the_last_started_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []
    stop = Processes.stop

    def noting(self: Processes, process: Process) -> None:
        stopped.append(process.name)
        stop(self, process)

    monkeypatch.setattr(Processes, "stop", noting)
    with Processes(tmp_path) as processes:
        started = [processes.start(program(IDLE, name=name)) for name in ("endpoint", "worker", "gateway")]
    assert stopped == ["gateway", "worker", "endpoint"]
    assert all(process.exited() for process in started)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endpoint.log", "gateway.log", "worker.log"]


def test_stops_a_process_that_someone_else_killed(running: Processes) -> None:
    process = running.start(program(IDLE))
    subprocess.run(["kill", "-KILL", str(process.popen.pid)], check=True)
    process.popen.wait(HUNG_SECONDS)
    running.stop(process)
    assert running.running == []
