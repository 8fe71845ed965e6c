"""Put the parts of a site together and let a trace's requests through."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

from runtime.handoff.contract import Code
from tandem.simulation.decoder import WorkerEndpoint
from tandem.simulation.endpoint import Endpoint, Told
from tandem.simulation.engine import Engine, Limits
from tandem.simulation.gateway import Fleet, Gateway
from tandem.simulation.hosts import Group, follow
from tandem.simulation.job import Job
from tandem.simulation.link import Link
from tandem.simulation.loop import Loop
from tandem.simulation.meter import Meters
from tandem.simulation.outages import schedule
from tandem.simulation.outcome import Book, Outcome
from tandem.simulation.prefill import PrefillWorker
from tandem.simulation.site import Pool, Site, TextSide, Wafers
from tandem.simulation.text import TextEndpoint
from tandem.simulation.wafer import WaferEndpoint
from tandem.traces.trace import Trace

_CALLS = 3
"""Calls from program to program before a first token: reserve, prefill, decode."""


def replay(site: Site, trace: Trace) -> Outcome:
    """Return what becomes of the requests of ``trace`` at ``site``; the same twice for the same arguments."""
    run = _Run(site, trace)
    # no cycle outlives a request, and looking for them would double the time
    gc.disable()
    try:
        run.loop.run()
    finally:
        gc.enable()
    return run.outcome()


class _Run:
    def __init__(self, site: Site, trace: Trace) -> None:
        self._site, self._trace = site, trace
        self.loop = Loop()
        self._meters = Meters(trace.span)
        self._book = Book(len(trace), _CALLS * site.call_seconds)
        endpoints = list(self._endpoints())
        pools = [(pool, list(self._workers(pool))) for pool in site.prefill]
        self._fleet = Fleet([worker for _, workers in pools for worker in workers], endpoints)
        self._gateways = [
            Gateway(self.loop, self._fleet, site, trace.block_tokens, self._book.gave_up) for _ in range(site.gateways)
        ]
        self._columns = zip(
            trace.seconds.tolist(),
            trace.prompt_tokens.tolist(),
            trace.answer_tokens.tolist(),
            [0, *trace.ends.tolist()],
            trace.ends.tolist(),
            strict=False,
        )
        groups = [
            Group(self.loop, pool.scaling, workers, pool.count, self._meters.of(f"hosts of {pool.name}", pool.most))
            for pool, workers in pools
            if pool.scaling
        ]
        follow(self.loop, groups, self._gateways, self._fleet, trace.span)
        if site.outages:
            schedule(self.loop, self._fleet.workers, site.outages, trace.span, _lost)
        if site.decode_outages:
            decoders = [each for each in endpoints if isinstance(each, WaferEndpoint | WorkerEndpoint)]
            schedule(self.loop, decoders, site.decode_outages, trace.span, _broke)
        self._count = 0
        self._next(None)

    def _next(self, job: Job | None) -> None:
        """Let a job in, and wait for the one after it: the heap never holds the whole trace."""
        if (row := next(self._columns, None)) is not None:
            seconds, prompt, answer, begin, end = row
            blocks = tuple(self._trace.blocks[begin:end].tolist())
            coming = Job(self._count, seconds, prompt, answer, blocks)
            self._count += 1
            self.loop.at(seconds, self._next, coming)
        if job is not None:
            self._arrive(job)

    def _arrive(self, job: Job) -> None:
        if job.prompt + job.answer > self._site.context:
            job.error = Code.CONTEXT_LENGTH_EXCEEDED
            self._book.gave_up(job)
            return
        self._gateways[job.index % len(self._gateways)].arrive(job)

    def _workers(self, pool: Pool) -> Iterator[PrefillWorker]:
        site, links = self._site, _count(self._site.prefill)
        for index in range(pool.most):
            engine = self._engine(pool, "prefill compute", links, site.max_num_seqs, _prefilled)
            egress = Link(pool.egress, self._meters.of("EFA", links))
            yield PrefillWorker(self.loop, f"{pool.name}-{index}", engine, egress, site.lease_seconds)

    def _endpoints(self) -> Iterator[Endpoint]:
        site, decode = self._site, self._site.decode
        if isinstance(decode, Wafers):
            for _ in range(decode.endpoints):
                yield WaferEndpoint(self.loop, site.model, decode, site.context, self._meters, self._answered, _refused)
        elif isinstance(decode, TextSide):
            yield TextEndpoint(self.loop, site.model, decode, self._meters, self._answered)
        else:
            part, count = "decode workers" if site.prefill else "workers", _count(decode)
            for pool in decode:
                for _ in range(pool.count):
                    engine = self._engine(pool, part, count, site.decode_max_num_seqs, self._decoded, decodes=True)
                    ingress = Link(pool.egress, self._meters.of("EFA into decode", count))
                    yield WorkerEndpoint(self.loop, site.model, engine, ingress, _refused)

    def _engine(self, pool: Pool, part: str, count: int, seqs: int, done: Told, *, decodes: bool = False) -> Engine:
        limits = Limits(
            max_num_seqs=seqs,
            max_num_batched_tokens=self._site.max_num_batched_tokens,
            block_tokens=self._trace.block_tokens,
        )
        meter = self._meters.of(part, count)
        return Engine(self.loop, self._site.model, pool.worker, limits, meter, done, decodes=decodes)

    def _decoded(self, job: Job) -> None:
        job.endpoint.ended(job)
        self._answered(job)

    def _answered(self, job: Job) -> None:
        self._book.answered(job, self.loop.now)
        job.gateway.left(job)

    def outcome(self) -> Outcome:
        """Return what was noted."""
        ttft, tpot, queue, prefill, handoff = self._book.columns
        return Outcome(
            ttft=ttft,
            tpot=tpot,
            queue=queue,
            prefill=prefill,
            handoff=handoff,
            prompt_tokens=self._trace.prompt_tokens,
            answer_tokens=self._trace.answer_tokens,
            cached_tokens=self._book.cached,
            refused=self._book.refused,
            use={part: meter.use() for part, meter in self._meters.parts.items()},
            span=max(self._trace.span, self.loop.now),
        )


def _count(pools: Sequence[Pool]) -> int:
    return sum(pool.most for pool in pools)


def _prefilled(job: Job) -> None:
    job.gateway.prefilled(job)


def _refused(job: Job) -> None:
    job.gateway.refused(job)


def _lost(job: Job, _: int) -> None:
    job.gateway.lost(job)


def _broke(job: Job, made: int) -> None:
    job.gateway.broke(job, made)
