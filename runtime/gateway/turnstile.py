"""Let each request wait for its turn: the clock and the futures around the pure admission policy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.admission.line import Place
from runtime.gateway.admission.policy import Admission, Reason, Refused
from runtime.gateway.phases import Phases
from runtime.gateway.tenants import Tenant
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

    @asynccontextmanager
    async def turn(self, tenant: Tenant, cost: int, phases: Phases) -> AsyncIterator[None]:
        """Wait until a request of ``cost`` tokens may run, and hold its place during the block.

        Raise ``HandoffError`` (``rate_limit_exceeded``, ``overloaded``), with the time after which to come again.
        """
        limits = self._config.limits(tenant.limits, self._gateways())
        place = self._admission.offer(tenant.id, limits, cost, time.monotonic())
        if isinstance(place, Refused):
            raise _refusal(place)
        turn = self._turns[place] = asyncio.get_running_loop().create_future()
        self._begin()
        try:
            if not place.running:
                with phases.measure("queue"):
                    await self._wait(place, turn)
            yield
        finally:
            if self._turns.pop(place, None):
                self._admission.leave(place)
            self._begin()

    async def _wait(self, place: Place, turn: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(self._config.capacity.wait_seconds):
                await turn
        except TimeoutError:
            if place.running:
                return  # its turn came in the same moment
            del self._turns[place]
            raise _refusal(self._admission.expire(place, time.monotonic())) from None

    def _begin(self) -> None:
        for place in self._admission.begin():
            turn = self._turns[place]
            if not turn.done():  # else its client has left, and takes the place away itself
                turn.set_result(None)


def _refusal(refused: Refused) -> HandoffError:
    code, said = _SAID[refused.reason]
    return HandoffError(code, f"{said}: try again in {refused.retry_after} s", retry_after=refused.retry_after)
