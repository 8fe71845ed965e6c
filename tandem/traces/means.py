"""Take a load's means from a trace: over all of it, and over its busiest minute."""

from __future__ import annotations

from typing import Final

import numpy as np

from tandem.sizing.demand import Load
from tandem.traces.trace import Trace

WINDOW_SECONDS: Final = 60.0


def mean_load(trace: Trace) -> Load:
    """Return the means of the whole trace, which is taken to last no less than one window."""
    return _load(trace, 0, len(trace), max(trace.span, WINDOW_SECONDS))


def busiest_load(trace: Trace) -> Load:
    """Return the means of the window in which most prompt tokens came; windows begin with a request."""
    ends = np.searchsorted(trace.seconds, trace.seconds + WINDOW_SECONDS)
    tokens = np.concatenate([[0], np.cumsum(trace.prompt_tokens)])
    first = int(np.argmax(tokens[ends] - tokens[:-1]))
    return _load(trace, first, int(ends[first]), WINDOW_SECONDS)


def reused_share(trace: Trace) -> float:
    """Return the share of prompt blocks that came before: what one prefix cache without bounds would hold."""
    return 1 - len(np.unique(trace.blocks)) / len(trace.blocks) if len(trace.blocks) else 0.0


def _load(trace: Trace, first: int, end: int, seconds: float) -> Load:
    part = slice(first, end)
    return Load(
        requests_per_second=(end - first) / seconds,
        prompt_tokens=float(trace.prompt_tokens[part].mean()),
        answer_tokens=float(trace.answer_tokens[part].mean()),
    )
