"""Measure how much of each part of a deployment was in use, over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Meter:
    """Add up the use of what there is ``capacity`` of, in ``bins`` of equal length from 0 to ``span`` seconds.

    What comes after the span is left out: a part idles while the last answers end.
    """

    def __init__(self, capacity: float, span: float, bins: int) -> None:
        self._capacity, self._span, self._width = capacity, span, span / bins
        self._sums = [0.0] * (bins + 1)  # the last for what begins or ends with the span itself

    def add(self, begin: float, end: float, amount: float = 1.0) -> None:
        """Count ``amount`` in use from ``begin`` to ``end``."""
        if end > self._span:
            end = self._span
        if begin >= end:
            return
        width, sums = self._width, self._sums
        first, final = int(begin / width), int(end / width)
        if first == final:
            sums[first] += (end - begin) * amount
            return
        sums[first] += ((first + 1) * width - begin) * amount
        for index in range(first + 1, final):
            sums[index] += width * amount
        sums[final] += (end - final * width) * amount

    def use(self) -> NDArray[np.float64]:
        """Return the share in use in each bin."""
        return np.array(self._sums[:-1]) / (self._width * self._capacity)


class Meters:
    """Hold a meter for each part, by name."""

    def __init__(self, span: float, bins: int = 120) -> None:
        self._span, self._bins = max(span, 1.0), bins
        self.parts: dict[str, Meter] = {}

    def of(self, part: str, capacity: float) -> Meter:
        """Return the meter of ``part``, which there is ``capacity`` of."""
        return self.parts.setdefault(part, Meter(capacity, self._span, self._bins))
