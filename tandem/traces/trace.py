"""Hold a request trace as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class TraceError(ValueError):
    """Name the row and column of a trace that cannot be used."""

    def __init__(self, row: int, column: str, message: str) -> None:
        super().__init__(f"row {row}, {column}: {message}")


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Hold one value a request in each column: seconds since the first request in order, and numbers of tokens.

    ``blocks`` holds the ids of each prompt's blocks of ``block_tokens`` tokens, one prompt after another, equal where
    prompts begin alike; request i has ``blocks[ends[i - 1]:ends[i]]``. Without prefixes it is empty.
    """

    seconds: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    answer_tokens: NDArray[np.int64]
    blocks: NDArray[np.int64]
    ends: NDArray[np.int64]
    block_tokens: int = 0

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def span(self) -> float:
        """Seconds from the first request to the last."""
        return float(self.seconds[-1])
