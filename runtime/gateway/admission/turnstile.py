"""Let each request wait for its turn: the clock and the futures around the pure admission policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from runtime.gateway.access.tenants import Tenant
from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.admission.line import Place
from runtime.gateway.admission.policy import Admission, Reason, Refused
from runtime.gateway.telemetry.phases import Phases
from runtime.handoff.contract import Code, HandoffError

_SAID: Final = {
    Reason.REQUEST_RATE: (Code.RATE_LIMIT_EXCEEDED, "the tenant's requests a minute are used up"),
    Reason.TOKEN_RATE: (Code.RATE_LIMIT_EXCEEDED, "the tenant's tokens a minute are used up"),
    Reason.QUEUE_FULL: (Code.OVERLOADED, "too many requests of the tenant wait"),
    Reason.WAITED: (Code.OVERLOADED, "the request waited as long as it may"),
}


class Turnstile:
    """Hold the requests of one gateway to its bounds; ``gateways`` returns how many tasks share tenants' limits."""

    def __init__(self, config: AdmissionConfig, gateways: Callable[[], int]) -> None:
        self._config = config
        self._gateways = gateways
        self._admission = Admission(config.capacity)
        self._turns: dict[Place, asyncio.Future[None]] = {}

    @property
    def running(self) -> int:
        """How many requests run."""
        return self._admission.running

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._admission.waiting

    async def enter(self, tenant: Tenant, cost: int, phases: Phases) -> Place:
        """Wait until a request of ``cost`` tokens may run, and return its place, to be left.

        Raise ``HandoffError`` (``rate_limit_exceeded``, ``overloaded``), with the time after which to come again.
        """
        limits = self._config.limits(tenant.limits, self._gateways())
        place = self._admission.offer(tenant.id, limits, cost, time.monotonic())
        if isinstance(place, Refused):
            raise _refusal(place)
        if not place.running:
            self._begin()
        if not place.running:
            with phases.measure("queue"):
                await self._wait(place)
        return place

    def leave(self, place: Place) -> None:
        """Give the place to whoever comes next."""
        self._admission.leave(place)
        if self._admission.waiting:
            self._begin()

    async def _wait(self, place: Place) -> None:
        turn = self._turns[place] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._config.capacity.wait_seconds):
                await turn
        except TimeoutError:
            if place.running:
                return  # its turn came in the same moment
            refused = self._admission.expire(place, time.monotonic())
            self._begin()
            raise _refusal(refused) from None
        except asyncio.CancelledError:
            self.leave(place)
            raise
        finally:
            self._turns.pop(place, None)

    def _begin(self) -> None:
        for place in self._admission.begin():
            turn = self._turns.get(place)
            if turn and not turn.done():  # else it never waited, or its client has left, and takes it away itself
                turn.set_result(None)


def _refusal(refused: Refused) -> HandoffError:
    code, said = _SAID[refused.reason]
    return HandoffError(code, f"{said}: try again in {refused.retry_after} s", retry_after=refused.retry_after)
