"""Run one schedule and hold its end against the invariants.

By hand: ``python -m tests.runtime.handoff.simulation.run SEED``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from tests.runtime.handoff.simulation.gateway import Gateway, Request
from tests.runtime.handoff.simulation.reader import Answer, Failure, Reader
from tests.runtime.handoff.simulation.worker import Worker
from tests.runtime.handoff.simulation.world import Fault, Step, World

LONGEST: Final = 120.0
"""Seconds that a request may take at most, the worst waits of every party one after the other."""
END: Final = 400.0
STEPS: Final = 70
"""A schedule of four requests has about that many steps; faults strike before one of them."""


@dataclass(frozen=True)
class Report:
    """Hold what a schedule came to."""

    seed: int
    fired: frozenset[Fault]
    outcomes: tuple[Answer | Failure | str | None, ...]
    violations: tuple[str, ...]


def run(seed: int) -> Report:
    """Run the schedule of a seed."""
    draw = Random(seed)  # noqa: S311 - schedules, no secrets
    faults = _faults(draw)
    world = World(seed, faults, streams=draw.random() < 0.5)
    worker = Worker(world, sealed=draw.random() < 0.7)
    reader = Reader(world, worker, memory=4 if Fault.OVERFLOW in faults else 20)
    gateway = Gateway(world, worker, reader)
    worker.endpoint = reader.hear
    if Fault.HEARTBEATS in faults:
        _beat(world, worker, draw.randint(1, 6))
    for number in range(draw.randint(1, 4)):
        request = Request(f"request {number}", draw.randint(1, 3), started=draw.uniform(0, 3))
        world.after(request.started, None, partial(gateway.ask, request))
        if Fault.CLIENT_LEAVES in faults:
            world.at_step(draw.randrange(STEPS), partial(_leave, world, gateway, request))
    strikes = {
        Fault.WORKER_CRASH: worker.crash,
        Fault.READER_CRASH: reader.crash,
        Fault.GATEWAY_CRASH: gateway.crash,
        Fault.WORKER_STOP: worker.stop,
        Fault.WORKER_DRAIN: worker.drain,
        Fault.READER_STOP: reader.stop,
    }
    for fault in sorted(faults & strikes.keys()):
        world.at_step(draw.randrange(STEPS), partial(_strike, world, fault, strikes[fault]))
    world.run(END)
    _check(world, worker, reader, gateway)
    if any(isinstance(request.outcome, Failure) and request.outcome.code == "capacity" for request in gateway.requests):
        world.fired.add(Fault.OVERFLOW)
    outcomes = tuple(request.outcome for request in gateway.requests)
    return Report(seed, frozenset(world.fired), outcomes, tuple(world.violations))


def _faults(draw: Random) -> frozenset[Fault]:
    """Return what may go wrong: anything, but often enough what leads to the end of a lease."""
    if draw.random() < 0.1:
        return frozenset({Fault.LATE_DECODE, Fault.SLOW_LINK})
    return frozenset(draw.sample(list(Fault), draw.choice([0, 1, 2, 3, 5])))


def _strike(world: World, fault: Fault, strike: Step) -> None:
    world.fired.add(fault)
    strike()


def _beat(world: World, worker: Worker, left: int) -> None:
    """Let a vLLM decoder, which means to read whatever there is, hold all leases for a while."""
    if held := ",".join(worker.leases._leases):
        world.fired.add(Fault.HEARTBEATS)
        for delay in world.notice_delays():
            world.after(delay, worker, partial(worker.hear, "vllm", f"HB:{held}".encode()))
    if left:
        world.after(world.random.uniform(0.5, 8), None, partial(_beat, world, worker, left - 1))


def _leave(world: World, gateway: Gateway, request: Request) -> None:
    if request in gateway.requests and request.outcome is None:
        world.fired.add(Fault.CLIENT_LEAVES)
        gateway.leave(request)


def _check(world: World, worker: Worker, reader: Reader, gateway: Gateway) -> None:
    if worker.blocks.used:
        world.violated(f"{worker.blocks.used} blocks are left")
    if left := reader.book.count(now=reader.clock()):
        world.violated(f"{left} reservations are left")
    if worker.expired and not world.faults:
        world.violated("a lease had to run out although nothing failed")
    for request in gateway.requests:
        if not world.faults and not isinstance(request.outcome, Answer):
            world.violated(f"{request.name} came to {request.outcome} although nothing failed")
        if request.outcome is None:
            world.violated(f"{request.name} never ended")
        elif request.ended - request.started > LONGEST:
            world.violated(f"{request.name} took {request.ended - request.started:.1f} s")
        elif isinstance(request.outcome, Failure) and request.outcome.phase is None:
            world.violated(f"{request.name} failed with {request.outcome.code} in no phase")


def main(words: Sequence[str]) -> int:
    """Print what the schedules of some seeds came to."""
    for word in words:
        print(run(int(word)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
