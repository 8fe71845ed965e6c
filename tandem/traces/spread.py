"""Spread requests that a coarse clock put on one moment over the time until the next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tandem.traces.trace import Trace


def most_at_once(trace: Trace) -> int:
    """Return how many requests share one time at most."""
    return int(np.unique(trace.seconds, return_counts=True)[1].max())


def spread(trace: Trace) -> Trace:
    """Return ``trace`` with requests of one time set evenly over the time to the next; the last stay where they are."""
    times, first, counts = np.unique(trace.seconds, return_index=True, return_counts=True)
    gaps = np.append(np.diff(times), 0.0)
    place = np.arange(len(trace)) - np.repeat(first, counts)
    return replace(trace, seconds=np.repeat(times, counts) + place * np.repeat(gaps / counts, counts))
