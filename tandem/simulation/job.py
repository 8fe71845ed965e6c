"""Hold one request on its way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

NEVER: Final = float("nan")


@dataclass(slots=True, eq=False)
class Job:
    """Hold what a request asks, where it is, and when it got there; times are seconds, NaN until they come."""

    index: int
    arrived: float
    prompt: int
    answer: int
    blocks: Sequence[int] = ()
    cached: int = 0
    """Prompt tokens that the worker had in its prefix cache."""
    left: int = 0
    """Prompt tokens that are still to be prefilled."""
    attempt: int = 0
    estimate: int = 0
    """Prompt tokens that the gateway takes it for."""
    sent: float = NEVER
    """When it was sent to prefill."""
    started: float = NEVER
    """When its prefill began."""
    prefilled: float = NEVER
    first: float = NEVER
    """When its first token was made."""
    finished: float = NEVER
    gateway: Any = None
    worker: Any = None
    endpoint: Any = None
    tried: list[Any] = field(default_factory=list)
    """The endpoints that could not take it."""
    reservation: str = ""
    held: float = 0.0
    """Bytes of decode memory it holds, since ``held_at``."""
    held_at: float = NEVER
    place: Any = None
    error: str = ""
    """Why it was refused: a code of the contract, or a reason of admission."""

    @property
    def id(self) -> str:
        """The id of this attempt, which is never used twice."""
        return f"{self.index}.{self.attempt}"
