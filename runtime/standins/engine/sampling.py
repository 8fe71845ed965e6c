"""Choose the next token from logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """State how to choose: greedily at ``temperature`` 0 (the lowest id wins ties), else from the ``top_p`` nucleus.

    The same ``seed`` gives the same tokens; without one each run differs. Raises ``ValueError`` outside the ranges.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature is {self.temperature}, allowed is 0 to 2")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, allowed is more than 0, up to 1")

    def chooser(self) -> Callable[[NDArray[np.float32]], int]:
        """Return a function from logits to a token id; a seeded one starts its random numbers afresh."""
        if self.temperature == 0:
            return lambda logits: int(logits.argmax())
        # a seed may be negative in the OpenAI API, never in numpy
        random = np.random.default_rng(None if self.seed is None else self.seed % 2**64)
        return lambda logits: self._draw(logits, random.random())

    def _draw(self, logits: NDArray[np.float32], uniform: float) -> int:
        scaled = (logits.astype(np.float64) - logits.max()) / self.temperature
        order = np.argsort(-scaled, kind="stable")
        cumulative = np.cumsum(np.exp(scaled[order]))
        nucleus = int(np.searchsorted(cumulative, self.top_p * cumulative[-1])) + 1
        chosen = np.searchsorted(cumulative[:nucleus], uniform * cumulative[nucleus - 1], side="right")
        return int(order[min(chosen, nucleus - 1)])
