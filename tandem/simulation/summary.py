"""Sum up what became of a trace's requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from runtime.handoff.contract import Code
from tandem.simulation.outcome import Column, Outcome

TOO_LONG = str(Code.CONTEXT_LENGTH_EXCEEDED)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Hold a distribution by three of its points, in seconds; NaN where nothing was measured."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Hold the figures by which deployments are compared.

    ``tail`` says where the time to the first token went among the slowest 2 % of requests, by phase, in seconds;
    ``use`` and ``peak`` are the share in use of each part, on average and in the busiest of 120 equal times.
    """

    requests: int
    answered: int
    too_long: int
    refused: Mapping[str, int]
    requests_per_second: float
    tokens_per_second: float
    answer_tokens_per_second: float
    ttft: Percentiles
    tpot: Percentiles
    phases: Mapping[str, Percentiles]
    tail: Mapping[str, float]
    cached_share: float
    use: Mapping[str, float]
    peak: Mapping[str, float]

    @property
    def refused_share(self) -> float:
        """The share of requests that were refused, of those that fit the context."""
        return sum(self.refused.values()) / max(1, self.requests - self.too_long)


def summarize(outcome: Outcome) -> Summary:
    """Return the summary of ``outcome``."""
    done = np.isfinite(outcome.ttft)
    answer = float(outcome.answer_tokens[done].sum())
    refused = {code: count for code, count in sorted(outcome.refused.items()) if code != TOO_LONG}
    phases = {"queue": outcome.queue, "prefill": outcome.prefill, "handoff": outcome.handoff}
    return Summary(
        requests=len(outcome.ttft),
        answered=outcome.answered,
        too_long=outcome.refused[TOO_LONG],
        refused=refused,
        requests_per_second=outcome.requests_per_second,
        tokens_per_second=(float(outcome.prompt_tokens[done].sum()) + answer) / outcome.span,
        answer_tokens_per_second=answer / outcome.span,
        ttft=_percentiles(outcome, outcome.ttft),
        tpot=_percentiles(outcome, outcome.tpot),
        phases={name: _percentiles(outcome, column) for name, column in phases.items()},
        tail=_tail(outcome, phases),
        cached_share=outcome.cached_share,
        use={part: float(use.mean()) for part, use in outcome.use.items()},
        peak={part: float(use.max()) for part, use in outcome.use.items()},
    )


def _percentiles(outcome: Outcome, column: Column) -> Percentiles:
    return Percentiles(*(outcome.percentile(column, percent) for percent in (50, 90, 99)))


def _tail(outcome: Outcome, phases: Mapping[str, Column]) -> dict[str, float]:
    if not outcome.answered:
        return dict.fromkeys(phases, float("nan"))
    slow = outcome.ttft >= outcome.percentile(outcome.ttft, 98)
    return {name: float(np.mean(column[slow])) for name, column in phases.items()}
