"""Hold what became of every request, as columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tandem.simulation.job import Job

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Hold one value a request in each column, in seconds; NaN where a request was not answered, ``refused`` why.

    ``use`` has the share in use of each part over equal parts of ``span`` seconds, ``hosts`` of the prefill hosts.
    """

    ttft: Column
    tpot: Column
    queue: Column
    prefill: Column
    handoff: Column
    prompt_tokens: NDArray[np.int64]
    answer_tokens: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]
    refused: Counter[str]
    use: dict[str, Column]
    span: float

    @property
    def answered(self) -> int:
        """How many requests got all their tokens."""
        return int(np.isfinite(self.ttft).sum())

    @property
    def requests_per_second(self) -> float:
        """The throughput, of whole answers."""
        return self.answered / self.span

    @property
    def cached_share(self) -> float:
        """The share of prompt tokens that workers had in their prefix caches."""
        return float(self.cached_tokens.sum() / max(1, self.prompt_tokens.sum()))

    def percentile(self, column: Column, percent: float) -> float:
        """Return a percentile over answered requests; NaN where there is none."""
        known = column[np.isfinite(column)]
        return float(np.percentile(known, percent)) if len(known) else float("nan")


@dataclass(slots=True)
class Book:
    """Note what became of each of ``count`` requests."""

    count: int
    calls: float
    """Seconds that the calls between programs add to each TTFT."""
    refused: Counter[str] = field(default_factory=Counter)
    columns: NDArray[np.float64] = field(init=False)
    cached: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.columns = np.full((5, self.count), np.nan)
        self.cached = np.zeros(self.count, dtype=np.int64)

    def answered(self, job: Job, now: float) -> None:
        """Note a job that has its last token now."""
        whole = job.whole
        per_token = (now - whole.first) / (whole.answer - 1) if whole.answer > 1 else np.nan
        ttft = whole.first - whole.arrived + self.calls
        self.columns[:, job.index] = (
            ttft,
            per_token,
            whole.started - whole.arrived,
            whole.prefilled - whole.started,
            whole.first - whole.prefilled,
        )
        self.cached[job.index] = whole.cached

    def gave_up(self, job: Job) -> None:
        """Note a job that was refused for its ``error``."""
        self.refused[job.error] += 1
