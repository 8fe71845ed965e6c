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
    before: Job | None = None
    """The job whose answer this one goes on with, since its endpoint failed."""
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
    once_more: bool = False
    """Whether it was sent to an endpoint again that had failed it."""
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

    @property
    def whole(self) -> Job:
        """The job whose first token was the answer's."""
        return self.before or self

    def rest(self, made: int) -> Job:
        """Return what is left to do after ``made`` tokens, which are prefilled like the prompt."""
        return Job(
            self.index,
            self.arrived,
            self.prompt + made,
            self.answer - made,
            self.blocks,
            attempt=self.attempt,
            before=self.whole,
            estimate=self.estimate + made,
            gateway=self.gateway,
            endpoint=self.endpoint,
            tried=self.tried,
            once_more=self.once_more,
            place=self.place,
        )
