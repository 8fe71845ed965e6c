"""Hold what one try of a request is told, and how far it came."""

from __future__ import annotations

import msgspec

from runtime.gateway.peers.workers import Prompt
from runtime.gateway.routing.deadline import Deadline
from runtime.gateway.routing.disaggregation import Handoff
from runtime.gateway.routing.failure import Leg
from runtime.gateway.telemetry.phases import Phases


class Attempt(msgspec.Struct, kw_only=True):
    """Describe one try: ``leg`` is where it is now, ``failed_workers`` are shared by all tries of a request.

    Where it is ``followed``, the decode peer is to tell the ids of its tokens, so that another can go on.
    """

    request_id: str
    prompt: Prompt
    number: int
    handoff: Handoff
    phases: Phases
    deadline: Deadline
    followed: bool = False
    foretold: str = ""
    """The text of the token that prefill chose."""
    leg: Leg = Leg.DECODE
    failed_workers: set[str] = msgspec.field(default_factory=set)
    """Their runs."""

    @property
    def name(self) -> str:
        """The request's id at the peers: another one for each try, since what an earlier one left may live on."""
        return self.request_id if self.number == 1 else f"{self.request_id}-{self.number}"
