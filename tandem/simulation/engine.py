"""Run one vLLM worker step by step, as its scheduler does: decodes first, then chunks of prompts in their order.

Steps that are alike are taken together, so that a prompt costs two events or three, whatever its length.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tandem.catalog.models import Model
from tandem.simulation.endpoint import Broken
from tandem.simulation.job import Job
from tandem.simulation.loop import Loop
from tandem.simulation.meter import Meter
from tandem.simulation.prefixes import PrefixCache
from tandem.sizing.legs import prefill_flops
from tandem.sizing.worker import Worker


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bound a worker's batches, in vLLM's words; ``block_tokens`` is the size of a trace's prompt block."""

    max_num_seqs: int
    max_num_batched_tokens: int
    block_tokens: int = 0


class Engine:
    """Serve jobs: prefill them where ``left`` is not 0, then decode them where ``decodes``.

    ``done`` is called with each job that has its last token here. KV stays held until ``release``.
    """

    def __init__(
        self,
        loop: Loop,
        model: Model,
        worker: Worker,
        limits: Limits,
        meter: Meter,
        done: Callable[[Job], None],
        *,
        decodes: bool,
    ) -> None:
        self._loop, self._model, self._worker, self._limits = loop, model, worker, limits
        self._meter, self._done, self._decodes = meter, done, decodes
        self._room = int(worker.kv_bytes / model.kv_bytes(1))
        self._least = worker.step + model.active * model.bytes_per_parameter / worker.read
        self._waiting: deque[Job] = deque()
        self._prefilling: list[Job] = []
        self._decoding: list[tuple[int, int, Job]] = []
        self._joined: list[Job] = []
        self._kv_read = 0.0
        self._held = 0
        self._steps = 0
        self._stride: tuple[float, float, int, list[tuple[Job, int]]] | None = None
        self._epoch = 0
        self._prefixes = PrefixCache()

    def submit(self, job: Job) -> None:
        """Queue a job; its prompt's ``left`` tokens are set when it is scheduled."""
        self._waiting.append(job)
        if self._stride is None:
            self._begin()
        else:
            self._cut_short()

    def release(self, job: Job) -> None:
        """Free a job's KV; its blocks stay in the prefix cache while there is room."""
        self._held -= self._needs(job)
        if self._stride is None and self._waiting:
            self._begin()

    def stop(self) -> Broken:
        """End at once, and return the jobs that were not done; what was held is lost."""
        made = self._steps + self._gone()
        lost = [(job, 0) for job in (*self._waiting, *self._prefilling)]
        lost += [(job, max(0, job.answer - (due - made))) for due, _, job in self._decoding]
        self._waiting.clear()
        self._prefilling.clear()
        self._decoding.clear()
        self._joined.clear()
        self._kv_read, self._held, self._stride = 0.0, 0, None
        self._epoch += 1
        self._prefixes = PrefixCache()
        return lost

    def _gone(self) -> int:
        """Return how many whole steps of those under way have gone by."""
        began, seconds, steps, _ = self._stride or (0.0, math.inf, 1, [])
        return int((self._loop.now - began) / seconds * steps)

    def _needs(self, job: Job) -> int:
        return job.prompt + job.answer if self._decodes else job.prompt

    def _begin(self) -> None:
        chunks = self._chunks()
        if not chunks and not self._decoding:
            self._stride = None
            return
        steps = self._alike(chunks)
        seconds = self._seconds(chunks, steps)
        for job in self._joined:
            job.first = self._loop.now + seconds / steps
        self._joined.clear()
        self._stride = (self._loop.now, seconds, steps, chunks)
        self._loop.at(self._loop.now + seconds, self._end, self._epoch)

    def _chunks(self) -> list[tuple[Job, int]]:
        """Return the prompts of the next step and how many tokens of each."""
        budget = self._limits.max_num_batched_tokens - len(self._decoding)
        chunks: list[tuple[Job, int]] = []
        for job in self._prefilling:
            if budget <= 0:
                return chunks
            chunks.append((job, min(budget, job.left)))
            budget -= chunks[-1][1]
        while budget > 0 and self._waiting and self._admits(self._waiting[0]):
            job = self._waiting.popleft()
            self._schedule(job)
            if job.left:
                self._prefilling.append(job)
                chunks.append((job, min(budget, job.left)))
                budget -= chunks[-1][1]
            else:
                self._remember(job)
                self._decode(job, made=0)
                self._joined.append(job)
        return chunks

    def _admits(self, job: Job) -> bool:
        running = len(self._prefilling) + len(self._decoding)
        return running < self._limits.max_num_seqs and (
            self._held + self._needs(job) <= self._room or not (running or self._held)
        )

    def _schedule(self, job: Job) -> None:
        self._held += self._needs(job)
        if math.isnan(job.prefilled):
            size = self._limits.block_tokens
            # vLLM computes at least a prompt's last token
            job.cached = min(self._prefixes.match(job.blocks) * size, job.prompt - 1) if size else 0
            job.left = job.prompt - job.cached
            job.started = self._loop.now

    def _alike(self, chunks: list[tuple[Job, int]]) -> int:
        """Return how many steps go by before anything but the position changes."""
        steps = self._decoding[0][0] - self._steps if self._decoding else 0
        if not chunks:
            return steps
        job, tokens = chunks[0]
        if len(chunks) > 1 or tokens == job.left:
            return 1
        whole = (job.left - 1) // tokens
        return min(whole, steps) if steps else whole

    def _seconds(self, chunks: list[tuple[Job, int]], steps: int) -> float:
        flops = 2.0 * self._model.active * len(self._decoding) * steps
        for job, tokens in chunks:
            done = job.prompt - job.left
            flops += prefill_flops(self._model, done + tokens * steps, done)
        return max(flops / self._worker.flops, self._least * steps) + self._kv_read * steps

    def _cut_short(self) -> None:
        """End a run of decode steps at the next one, for a prompt that came in between."""
        began, seconds, steps, chunks = self._stride or (0.0, 0.0, 1, [])
        if steps == 1 or chunks:
            return
        step = seconds / steps
        gone = min(steps, max(1, math.ceil((self._loop.now - began) / step)))
        if gone < steps:
            self._epoch += 1
            self._stride = (began, gone * step, gone, chunks)
            self._loop.at(max(self._loop.now, began + gone * step), self._end, self._epoch)

    def _end(self, epoch: int) -> None:
        if epoch != self._epoch or self._stride is None:
            return
        began, seconds, steps, chunks = self._stride
        self._meter.add(began, began + seconds)
        self._steps += steps
        finished = self._finished(chunks, steps)
        self._begin()
        for job in finished:
            self._done(job)

    def _finished(self, chunks: list[tuple[Job, int]], steps: int) -> list[Job]:
        finished = []
        for job, tokens in chunks:
            job.left -= tokens * steps
            if job.left == 0:
                self._prefilling.remove(job)
                job.prefilled = self._loop.now
                self._remember(job)
                if self._decodes:
                    job.first = self._loop.now
                    self._decode(job, made=1)
                else:
                    finished.append(job)
        while self._decoding and self._decoding[0][0] <= self._steps:
            _, _, job = heapq.heappop(self._decoding)
            self._kv_read -= self._read(job)
            finished.append(job)
        return finished

    def _remember(self, job: Job) -> None:
        if self._limits.block_tokens:
            self._prefixes.keep(job.blocks, (self._room - self._held) // self._limits.block_tokens + len(job.blocks))

    def _decode(self, job: Job, *, made: int) -> None:
        """Let a job have a token a step, of which a prefill that ended here ``made`` the first."""
        self._kv_read += self._read(job)
        heapq.heappush(self._decoding, (self._steps + job.answer - made, job.index, job))

    def _read(self, job: Job) -> float:
        """Return the seconds a step takes for the KV of a stream, at the mean of its length."""
        return self._model.kv_bytes(job.prompt + job.answer / 2) / self._worker.read
