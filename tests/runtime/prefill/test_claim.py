"""Seeded schedules of workers that contend, pause, die and lose answers: one compiles, and one publishes."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

import pytest

from runtime.prefill.bucket import BucketError
from runtime.prefill.claim import Claim, Holding
from tests.patience import HUNG_SECONDS

LEASE = 60.0
SCHEDULES = 2_000


@dataclass
class _World:
    """Hold the bucket's one object, the time, and what went wrong; ``faults`` is how likely a call fails."""

    random: random.Random
    faults: float
    now: float = 0.0
    body: bytes | None = None
    version: int = 0
    published: int = 0
    compiled: int = 0
    workers: list[_Worker] = field(default_factory=list)
    depth: int = 0

    def clock(self) -> float:
        return self.now

    def others_first(self) -> None:
        """Let another worker act in the middle of this one's call."""
        self.now += self.random.expovariate(2.0)
        if self.depth < 3 and self.random.random() < 0.3:
            self.depth += 1
            self.random.choice(self.workers).step()
            self.depth -= 1

    def call(self) -> None:
        self.others_first()
        if self.random.random() < self.faults:
            raise BucketError("S3 cannot be reached")

    def answer(self) -> None:
        if self.random.random() < self.faults:
            raise BucketError("S3 did it, and its answer is lost")
        self.others_first()

    def read(self) -> tuple[bytes, str] | None:
        self.call()
        found = None if self.body is None else (self.body, str(self.version))
        self.answer()
        return found

    def create(self, body: bytes) -> str | None:
        self.call()
        return self.write(body, allowed=self.body is None)

    def replace(self, body: bytes, etag: str) -> str | None:
        self.call()
        return self.write(body, allowed=etag == str(self.version) and self.body is not None)

    def write(self, body: bytes, *, allowed: bool) -> str | None:
        if allowed:
            self.body, self.version = body, self.version + 1
        written = self.version
        self.answer()
        return str(written) if allowed else None


@dataclass
class _Worker:
    """Do one thing a step: contend, renew, compile a bit, publish; or lie still for a while, or die."""

    world: _World
    mortal: bool
    busy: bool = False
    compiles: bool = False
    work: int = 0
    asleep_until: float = 0.0
    dead: bool = False
    renewed: float = 0.0

    def __post_init__(self) -> None:
        self.claim = Claim(self.world, lease=LEASE, clock=self.world.clock)

    def step(self) -> None:
        world = self.world
        if self.busy or self.dead or world.published or world.now < self.asleep_until:
            return
        self.busy = True
        try:
            self.act()
        except BucketError:
            return  # the next step tries again
        finally:
            self.busy = False

    def act(self) -> None:
        world, chance = self.world, self.world.random.random()
        if self.mortal and chance < 0.01:
            self.dead = True
        elif self.mortal and chance < 0.05:
            self.asleep_until = world.now + world.random.uniform(0, 3 * LEASE)
        elif not self.compiles:
            self.contend()
        else:
            self.compile()

    def contend(self) -> None:
        began = self.world.now
        if self.claim.attempt():
            self.compiles, self.work, self.renewed = True, self.world.random.randint(1, 40), began
            self.world.compiled += 1

    def compile(self) -> None:
        if self.world.now - self.renewed > LEASE / 4:
            began = self.world.now
            if not self.claim.renew():
                self.compiles = False  # somebody else has it
                return
            self.renewed = began
        self.work -= 1
        if self.work <= 0 and self.claim.held:
            self.world.published += 1


def run(seed: int, *, faults: float, mortal: bool) -> _World:
    world = _World(random.Random(seed), faults)  # noqa: S311 - a schedule, no secret
    world.workers = [_Worker(world, mortal and index > 0) for index in range(world.random.randint(2, 5))]
    for _ in range(5_000):
        if world.published:
            break
        # each gets its turn: one that does not for a lease would be taken for dead, and rightly
        for worker in world.random.sample(world.workers, len(world.workers)):
            world.now += world.random.expovariate(1.0)
            worker.step()
        holders = sum(worker.claim.held for worker in world.workers)
        assert holders <= 1, f"seed {seed}: {holders} workers hold the claim at {world.now:.1f} s"
    return world


def test_one_holds_the_claim_at_any_time_and_the_work_gets_done() -> None:
    for seed in range(SCHEDULES):
        world = run(seed, faults=0.1, mortal=True)
        assert world.published == 1, f"seed {seed}: nobody published"


def test_nobody_compiles_twice_where_nobody_dies() -> None:
    for seed in range(SCHEDULES):
        world = run(seed, faults=0.0, mortal=False)
        assert (world.published, world.compiled) == (1, 1), f"seed {seed}"


class _Slot:
    """Be a store without faults."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.version = 0

    def read(self) -> tuple[bytes, str] | None:
        return None if self.body is None else (self.body, str(self.version))

    def create(self, body: bytes) -> str | None:
        return None if self.body is not None else self.put(body)

    def replace(self, body: bytes, etag: str) -> str | None:
        return self.put(body) if etag == str(self.version) else None

    def put(self, body: bytes) -> str:
        self.body, self.version = body, self.version + 1
        return str(self.version)


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def test_a_dead_claim_is_taken_over_after_a_lease_of_the_onlookers_own_clock(clock: list[float]) -> None:
    store = _Slot()
    first, second = (Claim(store, lease=LEASE, clock=lambda: clock[0]) for _ in range(2))
    assert first.attempt()
    clock[0] = 1000.0  # whoever looks for the first time cannot know how old the claim is
    assert not second.attempt()
    clock[0] += LEASE - 1
    assert not second.attempt()
    clock[0] += 1
    assert second.attempt()
    assert not first.held
    assert not first.renew()


def test_a_released_claim_is_free_at_once() -> None:
    store = _Slot()
    first, second = Claim(store), Claim(store)
    assert first.attempt()
    assert not second.attempt()
    first.release()
    assert second.attempt()


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"null"])
def test_a_claim_that_nobody_can_read_dies_like_any_other(body: bytes, clock: list[float]) -> None:
    store = _Slot()
    store.put(body)
    claim = Claim(store, lease=LEASE, clock=lambda: clock[0])
    assert not claim.attempt()
    clock[0] = LEASE
    assert claim.attempt()


def test_a_holding_renews_until_it_ends_and_then_releases() -> None:
    store = _Slot()
    claim = Claim(store, lease=0.2, clock=lambda: 0.0)  # it renews in time, however late a busy machine has it do so
    assert claim.attempt()
    told: list[Exception] = []
    holding = Holding(claim, told.append, (BucketError,))
    deadline = time.monotonic() + HUNG_SECONDS
    while store.version < 4 and time.monotonic() < deadline:
        assert holding.holds()
        time.sleep(0.01)  # polled, since nothing announces a renewal
    holding.end()
    holding.end()
    assert (store.body, told) == (b"{}", [])


def test_what_fails_in_the_background_is_told_and_tried_again() -> None:
    store = _Slot()
    claim = Claim(store, lease=0.2)
    assert claim.attempt()
    failures = iter([BucketError("once")])

    def replace(body: bytes, etag: str) -> str | None:
        for failure in failures:
            raise failure
        return _Slot.replace(store, body, etag)

    store.replace = replace  # type: ignore[method-assign]
    told: list[Exception] = []
    holding = Holding(claim, told.append, (BucketError,))
    deadline = time.monotonic() + HUNG_SECONDS
    while store.version < 2 and time.monotonic() < deadline:
        time.sleep(0.01)  # polled, as above
    holding.end()
    assert [str(error) for error in told] == ["once"]
    assert store.body == b"{}"
