"""Run local processes: each with its own log, watched, and all stopped at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tandem.rehearsal.errors import RehearsalError

_STOP_SECONDS = 10
_LOG_LINES = 12


class ProcessError(RehearsalError):
    """Say which process failed, and show the end of its log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """Describe a process to start; ``environment`` is all that it gets."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path


@dataclass(slots=True)
class Process:
    """Hold a started process and its log."""

    program: Program
    popen: subprocess.Popen[bytes]
    log: Path
    since: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        """The name it was started under."""
        return self.program.name

    def exited(self) -> bool:
        """Tell whether it has ended."""
        return self.popen.poll() is not None

    def failure(self) -> ProcessError:
        """Return an error that shows how it ended."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        ending = f"ended with status {self.popen.returncode}" if self.exited() else "did not become ready"
        return ProcessError(f"{self.name} {ending}; its log ends with:\n  " + "\n  ".join(lines))


class Processes:
    """Start processes; leaving the context stops them, the last started first."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self.running: list[Process] = []

    def start(self, program: Program) -> Process:
        """Start a process in a group of its own, so that a terminal's Ctrl-C reaches only the rehearsal.

        Raise ``ProcessError`` where its program or folder does not exist.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{program.name}.log"
        with log.open("wb") as output:
            process = Process(program, _popen(program, output), log)
        self.running.append(process)
        return process

    def wait_ready(self, process: Process, ready: Callable[[], bool], seconds: float) -> float:
        """Return the seconds since its start when ``ready`` first holds; raise ``ProcessError`` if it never does."""
        while not ready():
            if process.exited() or time.monotonic() - process.since > seconds:
                raise process.failure()
            time.sleep(0.05)
        return time.monotonic() - process.since

    def stop(self, process: Process) -> None:
        """End a process, by SIGINT if it can, and whatever is left of its group by SIGKILL.

        SIGTERM would have a worker wait for readers of its KV, who are ended, too.
        """
        if not process.exited():
            process.popen.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(_STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.popen.pid, signal.SIGKILL)
        process.popen.wait()
        self.running.remove(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        for process in list(reversed(self.running)):
            self.stop(process)


def _popen(program: Program, output: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(program.command),
            env=dict(program.environment),
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ProcessError(f"{program.name} cannot start {program.command[0]} in {program.cwd}: {reason}") from error
