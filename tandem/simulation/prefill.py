"""Prefill on a vLLM worker that keeps KV under a lease until its reader has it."""

from __future__ import annotations

import math

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.lease import Leases, Notice
from tandem.simulation.endpoint import Broken
from tandem.simulation.engine import Engine
from tandem.simulation.job import Job
from tandem.simulation.link import Link
from tandem.simulation.loop import Loop

_READER = "decode"


class PrefillWorker:
    """Hold one worker: its engine, its leases and its way out."""

    def __init__(self, loop: Loop, name: str, engine: Engine, egress: Link, lease_seconds: float) -> None:
        self.name, self.engine, self.egress = name, engine, egress
        self._loop, self._lease_seconds = loop, lease_seconds
        self._leases = Leases(lease_seconds)
        self._jobs: dict[str, Job] = {}
        self.healthy = self.serving = True
        self._failed_at = -math.inf

    @property
    def up(self) -> bool:
        """Whether it takes requests: its group wants it, and it has not failed."""
        return self.healthy and self.serving

    def grant(self, job: Job) -> None:
        """Keep the job's KV for its reader, from now."""
        self._jobs[job.id] = job
        self._leases.grant(job.id, (), now=self._loop.now)

    def read(self, job: Job) -> None:
        """Free what a reader has read.

        Raise ``HandoffError``: ``kv_transfer`` where the worker failed meanwhile, ``kv_stale`` where the lease ran out.
        """
        if job.prefilled <= self._failed_at:
            raise HandoffError(Code.KV_TRANSFER, "the worker went away before the READ ended: prefill again")
        self._expire()
        notice, _ = self._leases.read(job.id, sender=_READER, readers=1)
        if notice is Notice.LATE:
            raise HandoffError(Code.KV_STALE, "the lease ran out before the READ ended: prefill again")
        self._free(job.id)

    def abort(self, job: Job) -> None:
        """Free what no reader will come for."""
        self._leases.abort(job.id)
        if job.id in self._jobs:
            self._free(job.id)

    def fail(self) -> Broken:
        """Lose all KV, and return the jobs whose prompts were not done; readers find out by themselves."""
        self.healthy, self._failed_at = False, self._loop.now
        self._leases = Leases(self._lease_seconds)
        self._jobs.clear()
        return self.engine.stop()

    def repaired(self) -> None:
        """Be there again, with nothing of before."""
        self.healthy = True

    def _expire(self) -> None:
        for ended in self._leases.expire(now=self._loop.now):
            self._free(ended)

    def _free(self, request_id: str) -> None:
        self.engine.release(self._jobs.pop(request_id))
