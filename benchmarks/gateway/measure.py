"""Run a relay alone on one core, load it from the other, and say what it did."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.gateway.peers import CACHE, Relay, environment

PORT: Final = 18400
PEERS: Final = 18500
START_SECONDS: Final = 60.0
RATE: Final = 2_500
SECONDS: Final = 4
LATE_MS: Final = 10.0
MOST: Final = 160
CHANCES: Final = 3
STALLED: Final = 3
LOAD_SECONDS: Final = 300
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Running:
    """Hold a relay's process group."""

    group: int

    @property
    def cpu_seconds(self) -> float:
        """What all its processes have used."""
        return sum(int(each[11]) + int(each[12]) for each in self._processes()) / _TICKS

    @property
    def memory_mb(self) -> float:
        """What all its processes hold (resident)."""
        return sum(int(each[21]) for each in self._processes()) * _PAGE / 1e6

    def _processes(self) -> Iterator[Sequence[str]]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue  # it has ended
                if int(fields[2]) == self.group:
                    yield fields


def build() -> Path:
    """Compile the load generator."""
    CACHE.mkdir(exist_ok=True)
    program = (CACHE / "load").absolute()
    subprocess.run(["cc", "-O2", "-o", str(program), str(Path(__file__).with_name("load.c"))], check=True)
    return program


@contextmanager
def running(relay: Relay) -> Iterator[Running]:
    """Start a relay between the ports on core 0, and wait until it listens."""
    folder = relay.install()
    command = ["taskset", "-c", "0", *relay.command(folder, PORT, PEERS)]
    with (
        # some routers wait for their peers before they listen
        subprocess.Popen(["taskset", "-c", "1", build(), "serve", "0", str(PEERS), "0"]) as peers,
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment(), process_group=0) as process,
    ):
        try:
            _wait_for(PORT, process)
            time.sleep(1)
            peers.kill()
            peers.wait()
            yield Running(process.pid)
        finally:
            peers.kill()
            with suppress(ProcessLookupError):  # it has ended by itself, of which its log tells
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"it does not listen: see its log in {CACHE}")


class StalledError(RuntimeError):
    """Tell that a stream did not begin, or that a run did not end in time."""


def load(mode: str, *arguments: object, target: int = PORT) -> dict[str, Any]:
    """Run the load generator on core 1 and return its result; raise ``RuntimeError`` where it fails."""
    command = ["taskset", "-c", "1", str((CACHE / "load").absolute()), mode, str(target), str(PEERS)]
    command += map(str, arguments)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LOAD_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise StalledError(f"load {mode}: it did not end within {LOAD_SECONDS} s") from error
    if done.returncode:
        failure = StalledError if done.returncode == STALLED else RuntimeError
        raise failure(f"load {mode}: {done.stderr.strip()[-300:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@dataclass(frozen=True, slots=True)
class Paced:
    """Hold one run of paced streams: CPU seconds are those of a million events, 0 where not half of them came."""

    streams: int
    p99_ms: float
    cpu: float
    kept_up: bool
    saturated: bool


def paced(relay: Running, streams: int) -> Paced:
    """Run so many streams at 2,500 events a second each; of those that do not all begin, nothing is measured."""
    before = relay.cpu_seconds
    try:
        told = load("streams", streams, SECONDS, RATE)
    except StalledError:
        return Paced(streams, math.inf, 0.0, False, False)
    whole_run = told["events"] * SECONDS / told["seconds"]  # events of the warm-up are not counted, its CPU is
    many = whole_run > streams * RATE * SECONDS / 2
    cpu = (relay.cpu_seconds - before) / whole_run * 1e6 if many else 0.0
    in_time = 0 <= told["p99_ms"] < LATE_MS and not told["failures"]
    return Paced(streams, told["p99_ms"], cpu, in_time, told["lag_p99_ms"] > LATE_MS / 2)


def most_streams(relay: Running) -> Paced:
    """Return the largest number of streams that keep up, to about 5 %, by halving."""
    low, high = 0, MOST
    best = Paced(0, 0.0, 0.0, False, False)
    while high - low > max(1, low // 20):
        middle = (low + high) // 2
        # a moment in which the machine does something else is no verdict on the relay
        runs = (paced(relay, middle) for _ in range(CHANCES))
        run = next((run for run in runs if run.kept_up), None)
        if run:
            low, best = middle, run
        else:
            high = middle
    return best
