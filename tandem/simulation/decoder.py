"""Decode on a vLLM worker, which reads KV from a prefill worker or prefills by itself, and which may fail."""

from __future__ import annotations

from runtime.gateway.routing.disaggregation import Handoff
from runtime.handoff.contract import Code, HandoffError
from tandem.catalog.models import Model
from tandem.simulation.endpoint import Broken, Told
from tandem.simulation.engine import Engine
from tandem.simulation.job import Job
from tandem.simulation.link import Link
from tandem.simulation.loop import Loop


class WorkerEndpoint:
    """Hold one worker that decodes; it promises no memory, so a request waits in its queue."""

    def __init__(self, loop: Loop, model: Model, engine: Engine, ingress: Link, failed: Told) -> None:
        self._loop, self._model, self.engine, self._ingress = loop, model, engine, ingress
        self._failed = failed
        self.in_flight, self.handoffs, self.caches = 0, frozenset(Handoff), True
        self.up = True
        self._reading: dict[Job, float] = {}
        """When each KV under way will have landed."""

    @property
    def fill(self) -> float:
        """Unknown to the gateway, which goes by requests in flight."""
        return 0.0

    def reserve(self, job: Job) -> None:
        """Count the job; it takes memory once it is scheduled."""
        self.in_flight += 1

    def withdraw(self, job: Job) -> None:
        """Forget the job."""
        self.in_flight -= 1

    def take(self, job: Job, landed: Told) -> None:
        """Read KV where a prefill worker has it, and queue the job."""
        if not self.up:
            self._refuse(job, Code.DECODE_UNAVAILABLE)
            return
        if job.worker is None:
            self.engine.submit(job)
            return
        size, now = self._model.kv_bytes(job.prompt), self._loop.now
        ends = max(job.worker.egress.send(size, now), self._ingress.send(size, now))
        self._reading[job] = ends
        self._loop.at(ends, self._landed, (job, landed))

    def fail(self) -> Broken:
        """Lose all KV, and return the jobs under way."""
        self.up = False
        broken = [*self.engine.stop(), *((job, 0) for job in self._reading)]
        self._reading.clear()
        self.in_flight -= len(broken)
        return broken

    def repaired(self) -> None:
        """Be there again, with nothing of before."""
        self.up = True

    def _landed(self, read: tuple[Job, Told]) -> None:
        job, landed = read
        if self._reading.get(job) != self._loop.now:
            return  # the worker failed meanwhile
        del self._reading[job]
        try:
            landed(job)
        except HandoffError as error:
            self._refuse(job, error.code)
            return
        self.engine.submit(job)

    def _refuse(self, job: Job, code: Code) -> None:
        self.in_flight -= 1
        job.error = code
        self._failed(job)

    def ended(self, job: Job) -> None:
        """Free what the job held."""
        self.engine.release(job)
        self.in_flight -= 1
