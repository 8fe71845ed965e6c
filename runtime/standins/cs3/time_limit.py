"""End what takes longer than whoever asked waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.gateway.routing.deadline import Deadline
from runtime.handoff.contract import Code, HandoffError


@asynccontextmanager
async def in_time(deadline: Deadline) -> AsyncIterator[None]:
    """Cancel the block when the time is over, and raise ``HandoffError`` (``deadline_exceeded``)."""
    try:
        async with asyncio.timeout(deadline.left(time.monotonic())) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise exceeded() from error


def exceeded() -> HandoffError:
    """Return the refusal of what took too long."""
    return HandoffError(Code.DEADLINE_EXCEEDED, "nobody waits any more: the time limit of the request is over")
