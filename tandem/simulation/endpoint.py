"""Be what the gateway hands a request on to, whatever decodes there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from runtime.gateway.routing.disaggregation import Handoff
from tandem.simulation.job import Job

Told = Callable[[Job], None]
Broken = list[tuple[Job, int]]
"""Jobs that were not done, each with how many tokens of its answer were made."""


class Endpoint(Protocol):
    """Decode; each form tells the ``done`` that it was made with of every job that has its last token."""

    up: bool
    """Whether it is there."""
    in_flight: int
    handoffs: frozenset[Handoff]
    """What it can be given."""
    caches: bool
    """Whether it keeps prefixes."""

    def __hash__(self) -> int:
        """Tell endpoints apart."""
        ...

    @property
    def fill(self) -> float:
        """The share of KV memory that is held."""
        ...

    def reserve(self, job: Job) -> None:
        """Hold memory for a job; raise ``HandoffError``."""
        ...

    def withdraw(self, job: Job) -> None:
        """Give up what is held for a job that was not taken."""
        ...

    def take(self, job: Job, landed: Told) -> None:
        """Read the job's KV, tell ``landed``, which may raise ``HandoffError``, and decode.

        Where that cannot be, everything is freed, ``error`` set, and the ``failed`` of the making is told.
        """
        ...
