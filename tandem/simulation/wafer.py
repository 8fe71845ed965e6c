"""Decode at an endpoint of the contract: its books are those of the wire, its streams go at the catalog's speed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from runtime.gateway.routing.disaggregation import Handoff
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.reservation import Reservations
from tandem.catalog.models import Model
from tandem.simulation.endpoint import Broken, Told
from tandem.simulation.job import Job
from tandem.simulation.link import Link
from tandem.simulation.loop import Loop
from tandem.simulation.meter import Meters
from tandem.simulation.site import Wafers
from tandem.sizing.reservation import answer_limit, estimated_tokens


class WaferEndpoint:
    """Hold one endpoint's memory, ingress and streams."""

    def __init__(
        self, loop: Loop, model: Model, wafers: Wafers, context: int, meters: Meters, done: Told, failed: Told
    ) -> None:
        self._loop, self._model, self._context, self._done, self._failed = loop, model, context, done, failed
        self._wafers, self._ids = wafers, map(str, itertools.count())
        self._books = _books(wafers, self._ids)
        self._ingress = Link(wafers.ingress, meters.of("CS-3 ingress", wafers.endpoints))
        self._memory = meters.of("CS-3 memory", max(1.0, wafers.endpoints * wafers.kv_bytes))
        self._token = 1 / wafers.tokens_per_second
        self.in_flight, self.handoffs, self.caches = 0, frozenset({Handoff.KV}), False
        self.up = True
        self._taken: dict[Job, float] = {}
        """When each job's next event is due."""

    @property
    def fill(self) -> float:
        """The share of KV memory that is held."""
        return self._books.reserved_bytes(now=self._loop.now) / max(1, self._books.memory)

    def reserve(self, job: Job) -> None:
        """Hold what the gateway asks for, which knows a prompt's bytes and not its tokens."""
        limit = min(int(answer_limit(job.answer)), self._context - job.prompt)
        size = int(self._model.kv_bytes(estimated_tokens(job.prompt, limit, self._context) + limit))
        held = self._books.grant(size, request_id=job.id, attempt=job.attempt, max_tokens=limit, now=self._loop.now)
        job.reservation, job.held, job.held_at = held.reservation_id, size, self._loop.now
        self.in_flight += 1

    def withdraw(self, job: Job) -> None:
        """Give up a reservation that waits."""
        self._books.withdraw(job.reservation, now=self._loop.now)
        self._counted(job)
        self.in_flight -= 1

    def take(self, job: Job, landed: Told) -> None:
        """Consume the reservation, cut it to what the prompt really takes, and pull the KV."""
        now = self._loop.now
        self._counted(job)
        try:
            if not self.up:
                raise HandoffError(Code.DECODE_UNAVAILABLE, "the endpoint went away: ask another one")
            held = self._books.consume(job.reservation, request_id=job.id, attempt=job.attempt, now=now)
        except HandoffError as error:
            self._refuse(job, error.code)
            return
        job.held, job.held_at = int(self._model.kv_bytes(job.prompt + held.max_tokens)), now
        try:
            self._books.resize(job.reservation, int(job.held), now=now)
        except HandoffError as error:
            self._books.finish(job.reservation)
            self._refuse(job, error.code)
            return
        size = self._model.kv_bytes(job.prompt)
        # a READ streams through both links: it ends with the slower
        ends = max(job.worker.egress.send(size, now), self._ingress.send(size, now))
        self._taken[job] = ends
        self._loop.at(ends, self._landed, (job, landed))

    def fail(self) -> Broken:
        """Lose all KV and every reservation, and return the jobs that were taken."""
        self.up, self._books = False, _books(self._wafers, self._ids)
        broken = [(job, self._made(job)) for job in self._taken]
        for job in self._taken:
            self._counted(job)
        self._taken.clear()
        self.in_flight -= len(broken)
        return broken

    def repaired(self) -> None:
        """Be there again, with nothing of before."""
        self.up = True

    def _made(self, job: Job) -> int:
        """Return how many tokens of a job's answer there are."""
        since = self._loop.now - job.first
        return min(job.answer - 1, 1 + int(since / self._token)) if since >= 0 else 0

    def _is_due(self, job: Job) -> bool:
        """Tell whether this moment's event is of what goes on here, not of what a failure ended."""
        due = self._taken.get(job) == self._loop.now
        if due:
            del self._taken[job]
        return due

    def _landed(self, read: tuple[Job, Told]) -> None:
        job, landed = read
        if not self._is_due(job):
            return
        try:
            landed(job)
        except HandoffError as error:
            self._books.finish(job.reservation)
            self._counted(job)
            self._refuse(job, error.code)
            return
        job.first = self._loop.now + self._token
        self._taken[job] = self._loop.now + self._token * job.answer
        self._loop.at(self._taken[job], self._ended, job)

    def _refuse(self, job: Job, code: Code) -> None:
        self.in_flight -= 1
        job.error = code
        self._failed(job)

    def _ended(self, job: Job) -> None:
        if not self._is_due(job):
            return
        self._books.finish(job.reservation)
        self._counted(job)
        self.in_flight -= 1
        self._done(job)

    def _counted(self, job: Job) -> None:
        self._memory.add(job.held_at, self._loop.now, job.held)


def _books(wafers: Wafers, ids: Iterator[str]) -> Reservations:
    return Reservations(memory=int(wafers.kv_bytes), ttl=wafers.ttl_seconds, new_id=ids.__next__)
