"""Draw plots as SVG: no script, no network, readable in both colour schemes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 30, 46
_COLOURS: Final = 6
"""Classes c0 to c5 of the page's style."""
_Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """Hold points under a name; dots where they are not ``joined``. A point's ``notes`` are shown when pointed at."""

    name: str
    points: Sequence[_Point]
    joined: bool = True
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """Hold an axis' label and how its numbers are told; ``log`` needs positive numbers."""

    label: str
    told: Callable[[float], str]
    log: bool = False


def plot(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Return an SVG of ``series``; one that says so where there is no point."""
    points = [point for each in series for point in each.points]
    if not points:
        return _figure(title, [f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" class="mid">nothing was measured</text>'])
    across = _Scale(x, [point[0] for point in points], _LEFT, WIDTH - _RIGHT)
    up = _Scale(y, [point[1] for point in points], HEIGHT - _BOTTOM, _TOP)
    parts = [*_grid(across, up), *_labels(x, y)]
    for index, each in enumerate(series):
        parts += _drawn(each, index % _COLOURS, across, up)
    return _figure(title, [*parts, *_legend(series)])


class _Scale:
    def __init__(self, axis: Axis, values: Sequence[float], begin: float, end: float) -> None:
        self.axis, self._begin, self._end = axis, begin, end
        low, high = min(values), max(values)
        if not axis.log:
            low = min(0.0, low)
        self._low, self._high = self._of(low), self._of(high)
        if self._low == self._high:
            self._low, self._high = self._low - 0.5, self._high + 0.5

    def _of(self, value: float) -> float:
        return math.log10(value) if self.axis.log else value

    def at(self, value: float) -> float:
        """Return where ``value`` stands."""
        share = (self._of(value) - self._low) / (self._high - self._low)
        return round(self._begin + share * (self._end - self._begin), 1)

    def ticks(self) -> list[float]:
        """Return four to eight round values in the range."""
        if self.axis.log:
            powers = range(math.floor(self._low), math.ceil(self._high) + 1)
            marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
            inside = [mark for mark in marks if self._low <= math.log10(mark) <= self._high]
            return inside[:: -(-len(inside) // 8)] if inside else [10**self._low]
        rough = (self._high - self._low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = math.ceil(self._low / step)
        return [step * mark for mark in range(first, math.floor(self._high / step) + 1)]


def _grid(across: _Scale, up: _Scale) -> list[str]:
    floor, parts = HEIGHT - _BOTTOM, []
    for value in across.ticks():
        x = across.at(value)
        parts.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{floor}" class="grid"/>')
        parts.append(f'<text x="{x}" y="{floor + 16}" class="mid">{escape(across.axis.told(value))}</text>')
    for value in up.ticks():
        y = up.at(value)
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{WIDTH - _RIGHT}" y2="{y}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" class="end">{escape(up.axis.told(value))}</text>')
    return parts


def _labels(x: Axis, y: Axis) -> list[str]:
    return [
        f'<text x="{(WIDTH + _LEFT) / 2}" y="{HEIGHT - 8}" class="mid">{escape(x.label)}</text>',
        f'<text x="{_LEFT}" y="{_TOP - 12}" class="start">{escape(y.label)}</text>',
    ]


def _drawn(each: Series, colour: int, across: _Scale, up: _Scale) -> list[str]:
    spots = [(across.at(x), up.at(y)) for x, y in each.points]
    if each.joined:
        line = " ".join(f"{x},{y}" for x, y in spots)
        return [f'<polyline points="{line}" class="line c{colour}"><title>{escape(each.name)}</title></polyline>']
    notes = each.notes or [each.name] * len(spots)
    return [
        f'<circle cx="{x}" cy="{y}" r="5" class="dot c{colour}"><title>{escape(note)}</title></circle>'
        for (x, y), note in zip(spots, notes, strict=True)
    ]


def _legend(series: Sequence[Series]) -> list[str]:
    if len(series) < 2:
        return []
    parts, x = [], float(WIDTH - _RIGHT)
    for index, each in reversed(list(enumerate(series))):
        x -= 7 * len(each.name) + 22
        parts.append(f'<rect x="{x:.0f}" y="6" width="10" height="10" class="key c{index % _COLOURS}"/>')
        parts.append(f'<text x="{x + 14:.0f}" y="15" class="start">{escape(each.name)}</text>')
    return parts


def _figure(title: str, parts: Sequence[str]) -> str:
    drawn = "\n".join(parts)
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{drawn}</svg></figure>'
    )
