"""Hold one request on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Job:
    """Hold what a request asks, where it is, and when it got there; times are seconds, NaN until they come."""

    index: int
    arrived: float
    prompt: int
    answer: int
    blocks: Sequence[int] = ()
    cached: int = 0
    left: int = 0
    """Prompt tokens that are still to be prefilled."""
    attempt: int = 0
    prefilled: float = field(default=float("nan"))
    started: float = field(default=float("nan"))
    """When prefill began."""
    first: float = field(default=float("nan"))
    worker: Any = None
    endpoint: Any = None
    reservation: str = ""
