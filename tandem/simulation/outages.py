"""Let machines fail, each at random and by itself, and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tandem.simulation.endpoint import Broken
from tandem.simulation.job import Job
from tandem.simulation.loop import Loop


class Machine(Protocol):
    """Be what can fail."""

    def fail(self) -> Broken:
        """Go away at once, and return the jobs that were under way."""
        ...

    def repaired(self) -> None:
        """Be there again, with nothing of before."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Outages:
    """State the mean time between failures of one machine and the time until another serves, both in seconds."""

    between: float
    repair: float
    seed: int = 1

    def times(self, machines: int, span: float) -> Iterator[tuple[int, float]]:
        """Yield which machine fails and when, one by one; one that is away does not fail."""
        rng = np.random.default_rng(self.seed)
        for machine in range(machines):
            time = rng.exponential(self.between)
            while time < span:
                yield machine, float(time)
                time += self.repair + rng.exponential(self.between)


def schedule(
    loop: Loop, machines: Sequence[Machine], outages: Outages, span: float, told: Callable[[Job, int], None]
) -> None:
    """Have ``machines`` fail and come back within ``span`` seconds; ``told`` hears of each job that was under way."""

    def fail(machine: Machine) -> None:
        for job, made in machine.fail():
            told(job, made)

    for index, time in outages.times(len(machines), span):
        loop.at(time, fail, machines[index])
        loop.at(time + outages.repair, _repaired, machines[index])


def _repaired(machine: Machine) -> None:
    machine.repaired()
