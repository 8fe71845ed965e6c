"""Decode at an endpoint that is handed text: it prefills by itself, one prompt after another."""

from __future__ import annotations

from runtime.gateway.routing.disaggregation import Handoff
from runtime.handoff.contract import Code, HandoffError
from tandem.catalog.models import Model
from tandem.simulation.endpoint import Told
from tandem.simulation.job import Job
from tandem.simulation.link import Link
from tandem.simulation.loop import Loop
from tandem.simulation.meter import Meters
from tandem.simulation.site import TextSide
from tandem.sizing.legs import prefill_flops


class TextEndpoint:
    """Hold its compute as a queue, and its memory where that is known."""

    def __init__(self, loop: Loop, model: Model, side: TextSide, meters: Meters, done: Told) -> None:
        self._loop, self._model, self._done = loop, model, done
        self._compute = Link(side.flops, meters.of("endpoint's prefill", 1))
        self._memory, self._held, self._token = side.kv_bytes, 0.0, 1 / side.tokens_per_second
        self.in_flight, self.handoffs, self.caches = 0, frozenset({Handoff.TEXT}), False
        self.up = True

    @property
    def fill(self) -> float:
        """The share of KV memory that is held."""
        return self._held / self._memory

    def reserve(self, job: Job) -> None:
        """Take the job's memory; raise ``HandoffError`` (``capacity``), as status 429 is told."""
        size = self._model.kv_bytes(job.prompt + job.answer)
        if self._held + size > self._memory:
            raise HandoffError(Code.CAPACITY, "the endpoint is full: try again later")
        job.held = size
        self._held += size
        self.in_flight += 1

    def withdraw(self, job: Job) -> None:
        """Give the memory back."""
        self._held -= job.held
        self.in_flight -= 1

    def take(self, job: Job, landed: Told) -> None:
        """Prefill and decode."""
        job.started = self._loop.now
        job.prefilled = self._compute.send(prefill_flops(self._model, job.prompt), self._loop.now)
        job.first = job.prefilled + self._token
        self._loop.at(job.prefilled + self._token * job.answer, self._ended, job)

    def _ended(self, job: Job) -> None:
        self.withdraw(job)
        self._done(job)
