"""Let prefill hosts fail, each at random and by itself, and come back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.simulation.job import Job
from tandem.simulation.loop import Loop
from tandem.simulation.prefill import PrefillWorker


@dataclass(frozen=True, kw_only=True, slots=True)
class Outages:
    """State the mean time between failures of one host and the time until another serves, both in seconds."""

    between: float
    repair: float
    seed: int = 1

    def times(self, hosts: int, span: float) -> Iterator[tuple[int, float]]:
        """Yield which host fails and when, host by host; one that is away does not fail."""
        rng = np.random.default_rng(self.seed)
        for host in range(hosts):
            time = rng.exponential(self.between)
            while time < span:
                yield host, float(time)
                time += self.repair + rng.exponential(self.between)


def schedule(loop: Loop, workers: Sequence[PrefillWorker], outages: Outages, span: float) -> None:
    """Have ``workers`` fail and come back within ``span`` seconds."""
    for host, time in outages.times(len(workers), span):
        loop.at(time, _fail, workers[host])
        loop.at(time + outages.repair, _repaired, workers[host])


def _fail(worker: PrefillWorker) -> None:
    lost: list[Job] = worker.fail()
    for job in lost:
        job.gateway.lost(job)


def _repaired(worker: PrefillWorker) -> None:
    worker.healthy = True
