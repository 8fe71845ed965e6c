"""Measure how much of something was in use, over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Meter:
    """Add up use in ``bins`` of equal length from 0 to ``span`` seconds; what is later counts into the last one."""

    def __init__(self, span: float, bins: int) -> None:
        self._width = max(span, 1e-9) / bins
        self._sums = [0.0] * bins

    def add(self, begin: float, end: float, amount: float = 1.0) -> None:
        """Count ``amount`` in use from ``begin`` to ``end``."""
        width, sums, last = self._width, self._sums, len(self._sums) - 1
        first, final = min(int(begin / width), last), min(int(end / width), last)
        if first == final:
            sums[first] += (end - begin) * amount
            return
        sums[first] += ((first + 1) * width - begin) * amount
        for index in range(first + 1, final):
            sums[index] += width * amount
        sums[final] += (end - final * width) * amount

    def means(self) -> NDArray[np.float64]:
        """Return the mean in use in each bin."""
        return np.array(self._sums) / self._width
