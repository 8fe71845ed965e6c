"""A world with a virtual clock: one seed gives one order of events, whatever machine it runs on."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum, auto
from random import Random
from typing import Any

Step = Callable[[], None]


class Fault(StrEnum):
    """Name what may go wrong."""

    WORKER_CRASH = auto()
    READER_CRASH = auto()
    GATEWAY_CRASH = auto()
    WORKER_STOP = auto()
    READER_STOP = auto()
    REPLY_LOST = auto()
    NOTICE_DROPPED = auto()
    NOTICE_DUPLICATED = auto()
    NOTICE_DELAYED = auto()
    LATE_DECODE = auto()
    SLOW_LINK = auto()
    FLIPPED_BIT = auto()
    TRUNCATED_REGION = auto()
    FORGED_TICKET = auto()
    EXPIRED_TICKET = auto()
    REPLAYED_TICKET = auto()
    TAMPERED_BLOCKS = auto()
    RESERVED_TWICE = auto()
    OVERFLOW = auto()
    WORKER_DRAIN = auto()
    HEARTBEATS = auto()
    CLIENT_LEAVES = auto()


class Process:
    """Run with a clock of its own, which starts anywhere and runs up to 0.05 % fast or slow; die, and live again."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.life = 1
        self.up = True
        self.stopped_until = 0.0
        self.calls: set[Call] = set()
        self._offset = world.random.uniform(0, 1e6)
        self._rate = 1 + world.random.choice([-1, 0, 1]) * 4.9e-4
        self.start()

    def start(self) -> None:
        """Begin a life with empty hands."""

    def clock(self) -> float:
        """Return this process's monotonic seconds."""
        return self._offset + self.world.now * self._rate

    def real(self, seconds: float) -> float:
        """Return how long ``seconds`` of this process's clock really last."""
        return seconds / self._rate

    def crash(self) -> None:
        """Die as by SIGKILL: nothing more is done, connections break; come back after a while."""
        if not self.up:
            return
        for call in list(self.calls):
            call.cut()
        self.life += 1
        self.up = False
        self.world.after(self.world.random.uniform(0.5, 20), None, self._restart)

    def stop(self) -> None:
        """Stand still for a while, as by SIGSTOP."""
        self.stopped_until = self.world.now + self.world.random.uniform(0.1, 15)

    def _restart(self) -> None:
        self.up = True
        self.start()


@dataclass(eq=False)
class Call:
    """Carry one request over a connection, whose ends learn of each other's death."""

    client: Process
    server: Process
    on_reply: Callable[[Any], None]
    on_broken: Step
    on_gone: Step | None = None
    open: bool = True

    def __post_init__(self) -> None:
        self.client.calls.add(self)
        self.server.calls.add(self)

    def reply(self, value: Any) -> None:
        """Answer, unless the client has gone."""
        world = self.client.world
        if self.open and world.happens(Fault.REPLY_LOST):
            self.cut()
        elif self._close():
            world.after(world.latency(), self.client, lambda: self.on_reply(value))

    def cut(self) -> None:
        """Break the connection; both ends notice."""
        if self._close():
            world = self.client.world
            world.after(world.latency(), self.client, self.on_broken)
            if self.on_gone:
                world.after(world.latency(), self.server, self.on_gone)

    def _close(self) -> bool:
        was_open, self.open = self.open, False
        self.client.calls.discard(self)
        self.server.calls.discard(self)
        return was_open


@dataclass
class World:
    """Order events by time; ``faults`` are those that may happen, ``fired`` those that did.

    ``streams`` tells whether KV is offered layer by layer.
    """

    seed: int
    faults: frozenset[Fault] = frozenset()
    streams: bool = False
    now: float = 0.0
    steps: int = 0
    fired: set[Fault] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - schedules, no secrets
        self._queue: list[tuple[float, int, Process | None, int, Step]] = []
        self._count = itertools.count()
        self._at_step: dict[int, list[Step]] = {}

    def after(self, seconds: float, owner: Process | None, step: Step) -> None:
        """Take a step later, unless its owner has died by then."""
        life = owner.life if owner else 0
        heapq.heappush(self._queue, (self.now + seconds, next(self._count), owner, life, step))

    def at_step(self, number: int, step: Step) -> None:
        """Do something before the ``number``-th step: so faults meet every phase, however short."""
        self._at_step.setdefault(number, []).append(step)

    def run(self, until: float) -> None:
        """Take all steps up to a time."""
        while self._queue and self._queue[0][0] <= until:
            when, _, owner, life, step = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            if owner and owner.life == life and owner.stopped_until > self.now:
                self.after(owner.stopped_until - self.now, owner, step)
                continue
            self.steps += 1
            for fault in self._at_step.pop(self.steps, ()):
                fault()
            if owner is None or owner.life == life:
                step()
        self.now = until

    def happens(self, fault: Fault, probability: float = 0.5) -> bool:
        """Decide whether a fault that may happen does so here."""
        if fault not in self.faults or self.random.random() >= probability:
            return False
        self.fired.add(fault)
        return True

    def notice_delays(self) -> list[float]:
        """Return when a notification arrives: once, twice, late, or never."""
        if self.happens(Fault.NOTICE_DROPPED):
            return []
        copies = range(2 if self.happens(Fault.NOTICE_DUPLICATED) else 1)
        return [self.random.uniform(0, 40) if self.happens(Fault.NOTICE_DELAYED) else self.latency() for _ in copies]

    def latency(self) -> float:
        """Return how long a message takes, in seconds."""
        return self.random.uniform(0.0001, 0.005)

    def violated(self, what: str) -> None:
        """Note that an invariant does not hold."""
        self.violations.append(f"{self.now:.4f} s: {what}")
