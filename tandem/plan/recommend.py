"""Recommend a size for a deployment file, and say how it compares and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tandem.plan import shape as shapes
from tandem.plan.search import Found, Search
from tandem.plan.sensitivity import Changed, sensitivity
from tandem.plan.targets import Targets
from tandem.spec.decode import Cs3
from tandem.spec.deployment import Deployment
from tandem.traces.trace import Trace

SEARCHED: Final = 12_500
"""Requests by which sizes are compared: of a longer trace, the part with most prompt tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """Hold the answer: the file's own kind first, then the others under the same targets."""

    targets: Targets
    own: Found
    others: tuple[Found, ...]
    changed: tuple[Changed, ...]
    requests: int


def recommend(
    deployment: Deployment, trace: Trace, targets: Targets, *, system_usd: float | None, told: Callable[[], None]
) -> Recommendation:
    """Return the smallest deployments that meet ``targets``; raise ``UnknownFigureError``.

    ``told`` hears of every replay.
    """
    part = busiest_part(trace, SEARCHED)
    first, *rest = [
        (Search(kind, part, told), _start(kind, shapes.current(deployment))) for kind in _kinds(deployment, system_usd)
    ]
    own = first[0].find(targets, first[1])
    # the others are held against what the first one is to reach, but for what they cannot reach at all
    others = tuple(search.find(own.aimed, start, math.inf) for search, start in rest)
    site = own.shape.site(*own.point.size)
    return Recommendation(
        targets=targets,
        own=own,
        others=others,
        changed=tuple(sensitivity(site, part)),
        requests=len(part),
    )


def busiest_part(trace: Trace, most: int) -> Trace:
    """Return the ``most`` requests in a row with most prompt tokens a second, or the whole of a shorter trace."""
    if len(trace) <= most:
        return trace
    sums = np.concatenate([[0], np.cumsum(trace.prompt_tokens)])
    spans = trace.seconds[most - 1 :] - trace.seconds[: len(trace) - most + 1]
    first = int(np.argmax((sums[most:] - sums[:-most]) / np.maximum(spans, 1e-9)))
    part = slice(first, first + most)
    begin = int(trace.ends[first - 1]) if first else 0
    return replace(
        trace,
        seconds=trace.seconds[part] - trace.seconds[first],
        prompt_tokens=trace.prompt_tokens[part],
        answer_tokens=trace.answer_tokens[part],
        blocks=trace.blocks[begin : int(trace.ends[first + most - 1])],
        ends=trace.ends[part] - begin,
    )


def _kinds(deployment: Deployment, system_usd: float | None) -> list[shapes.Shape]:
    kinds = [shapes.handoff(deployment, system_usd), shapes.aggregated(deployment)]
    if isinstance(deployment.decode, Cs3):
        kinds.append(shapes.text(deployment, system_usd))
    return kinds


def _start(kind: shapes.Shape, size: tuple[int, int]) -> tuple[int, int]:
    first, second = (max(count, 1) if axis.most else 0 for count, axis in zip(size, kind.axes, strict=True))
    return first, second
