"""Choose the next token from logits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """State how to choose: greedily at ``temperature`` 0 (the lowest id wins ties), else from the ``top_p`` nucleus.

    The same ``seed`` gives the same tokens; without one each run differs.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
