"""Decide by the table whether a failed leg is tried again, within the gateway's budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from runtime.gateway.peers.upstream import PeerError
from runtime.gateway.routing.budget import RetryBudget
from runtime.gateway.routing.failure import Action, Leg, decide
from runtime.gateway.telemetry.phases import Phases
from runtime.handoff.contract import Code, HandoffError


class Retries:
    """Hold the budget that all requests of a gateway share; ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._budget = RetryBudget(at=clock())
        self._requests = 0

    def requested(self) -> None:
        """Note that a request came."""
        self._requests += 1

    def after(self, leg: Leg, error: Exception, possible: Collection[Action], phases: Phases) -> Action:
        """Return what is done about ``error``; ``GIVE_UP`` where nothing is possible, or the budget is spent."""
        code = code_of(error)
        now = self._clock()
        saved, self._requests = self._budget.requested(now, self._requests), 0
        action, self._budget = decide(leg, code, possible, saved, now)
        if action is not Action.GIVE_UP:
            phases.retried(leg, code, action)
        return action


def code_of(error: Exception) -> Code:
    """Return the code by which the table knows an error."""
    if isinstance(error, HandoffError):
        return error.code
    if isinstance(error, PeerError):
        known = next((code for code in Code if code.value == error.code), None)
        # another provider's refusal has no code of ours, and 429 says what capacity does
        return known or (Code.CAPACITY if error.status == 429 else Code.INVALID_REQUEST)
    return Code.DECODE_FAILED
