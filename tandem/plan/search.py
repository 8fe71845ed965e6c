"""Find the smallest size of a shape that meets the targets, by replaying the trace at each size that is tried."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tandem.plan.hourly import Hourly
from tandem.plan.shape import Shape
from tandem.plan.targets import Targets
from tandem.simulation.outcome import Outcome
from tandem.simulation.replay import replay
from tandem.simulation.site import fastest_token
from tandem.simulation.summary import Summary, summarize
from tandem.traces.trace import Trace

Size = tuple[int, int]
_GAIN: Final = 0.02
"""Twice the machines that improve a percentile by less show that more of them will not help."""
SLACK: Final = 1.1
"""Where a target cannot be met, the smallest size is searched that comes this near to the best there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Hold what one size costs and does."""

    size: Size
    hourly: Hourly
    found: Summary
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Hold a shape's answer: ``point`` meets ``aimed``, which are the targets, or what is next to the ``floor``.

    ``floor`` is what any number of machines would do; ``unmet`` names the targets that it misses, and is not looked for
    where arithmetic says that no stream is as fast. ``below`` holds the points with one machine fewer along each axis,
    and ``tried`` all.
    """

    shape: Shape
    point: Point
    floor: Point
    aimed: Targets
    unmet: tuple[str, ...]
    below: tuple[Point | None, Point | None]
    tried: tuple[Point, ...]


class Search:
    """Remember every size that was tried; ``told`` hears of each."""

    def __init__(self, shape: Shape, trace: Trace, told: Callable[[], None]) -> None:
        self._shape, self._trace, self._told = shape, trace, told
        self._points: dict[Size, Point] = {}

    def find(self, targets: Targets, start: Size, slack: float = SLACK) -> Found:
        """Return the smallest size that meets ``targets``, and what cannot be met within ``slack`` times the best.

        An infinite slack leaves such a target out.
        """
        floor = self._plenty(self._sought(targets, start, slack), start)
        unmet = targets.missed(floor.found)
        aimed = _within_reach(targets, floor.found, slack)
        enough = self._enough(aimed, floor)
        first = self._least(aimed, 0, enough.size)
        size = self._least(aimed, 1, (first, enough.size[1]))
        best = (first, size)
        return Found(
            shape=self._shape,
            point=self.at(best),
            floor=floor,
            aimed=aimed,
            unmet=tuple(unmet),
            below=(self._fewer(best, 0), self._fewer(best, 1)),
            tried=tuple(self._points[size] for size in sorted(self._points)),
        )

    def at(self, size: Size) -> Point:
        """Return what ``size`` does, replayed once."""
        if size not in self._points:
            outcome = replay(self._shape.site(*size), self._trace)
            hourly = self._shape.hourly(*size)
            self._points[size] = Point(size=size, hourly=hourly, found=summarize(outcome), outcome=outcome)
            self._told()
        return self._points[size]

    def _sought(self, targets: Targets, start: Size, slack: float) -> Targets:
        """Return ``targets`` without one that may be left out and that arithmetic says is out of reach."""
        hopeless = math.isinf(slack) and targets.tpot_p99 < fastest_token(self._shape.site(*self._bounded(start)))
        return replace(targets, tpot_p99=math.inf) if hopeless else targets

    def _plenty(self, targets: Targets, start: Size) -> Point:
        """Double until the targets are met, or twice as many machines are of no more use."""
        size = self._bounded(start)
        point = self.at(size)
        while targets.missed(point.found):
            larger = self._bounded((2 * size[0], 2 * size[1]))
            if larger == size:
                break
            after = self.at(larger)
            size, before, point = larger, point, after
            if not _improved(before.found, after.found):
                break
        return point

    def _enough(self, aimed: Targets, floor: Point) -> Point:
        """Return the smallest of the sizes tried on the way to ``floor`` that meets ``aimed`` already."""
        meeting = [point for point in self._points.values() if not aimed.missed(point.found)]
        return min(meeting, key=lambda point: point.size, default=floor)

    def _bounded(self, size: Size) -> Size:
        first, second = (
            min(max(count, axis.least), axis.most) for count, axis in zip(size, self._shape.axes, strict=True)
        )
        return first, second

    def _least(self, aimed: Targets, axis: int, size: Size) -> int:
        """Return the least count along ``axis`` with which ``aimed`` is met, the other count as it is."""
        low, high = self._shape.axes[axis].least, size[axis]
        while low < high:
            middle = (low + high) // 2
            tried = (middle, size[1]) if axis == 0 else (size[0], middle)
            if aimed.missed(self.at(tried).found):
                low = middle + 1
            else:
                high = middle
        return high

    def _fewer(self, size: Size, axis: int) -> Point | None:
        if size[axis] <= self._shape.axes[axis].least:
            return None
        return self.at((size[0] - 1, size[1]) if axis == 0 else (size[0], size[1] - 1))


def _within_reach(targets: Targets, floor: Summary, slack: float) -> Targets:
    return Targets(
        ttft_p99=_reached(targets.ttft_p99, floor.ttft.p99, slack),
        tpot_p99=_reached(targets.tpot_p99, floor.tpot.p99, slack),
        refused=_reached(targets.refused, floor.refused_share, slack),
    )


def _reached(target: float, best: float, slack: float) -> float:
    if math.isnan(best) or (math.isinf(slack) and best > target):
        return math.inf
    return target if best <= target else slack * best


def _improved(before: Summary, after: Summary) -> bool:
    return any(
        new < (1 - _GAIN) * old
        for old, new in (
            (before.ttft.p99, after.ttft.p99),
            (before.tpot.p99, after.tpot.p99),
            (before.refused_share, after.refused_share),
        )
    )
