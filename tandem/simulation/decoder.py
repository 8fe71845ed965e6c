"""Decode on a vLLM worker, which reads KV from a prefill worker or prefills by itself."""

from __future__ import annotations

from runtime.gateway.routing.disaggregation import Handoff
from tandem.catalog.models import Model
from tandem.simulation.endpoint import Told
from tandem.simulation.engine import Engine
from tandem.simulation.job import Job
from tandem.simulation.link import Link
from tandem.simulation.loop import Loop


class WorkerEndpoint:
    """Hold one worker that decodes; it promises no memory, so a request waits in its queue."""

    def __init__(self, loop: Loop, model: Model, engine: Engine, ingress: Link) -> None:
        self._loop, self._model, self.engine, self._ingress = loop, model, engine, ingress
        self.in_flight, self.handoffs, self.caches = 0, frozenset(Handoff), True

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
        if job.worker is None:
            self.engine.submit(job)
            return
        size, now = self._model.kv_bytes(job.prompt), self._loop.now
        ends = max(job.worker.egress.send(size, now), self._ingress.send(size, now))
        self._loop.at(ends, self._landed, (job, landed))

    def _landed(self, read: tuple[Job, Told]) -> None:
        job, landed = read
        landed(job)
        self.engine.submit(job)

    def ended(self, job: Job) -> None:
        """Free what the job held."""
        self.engine.release(job)
        self.in_flight -= 1
