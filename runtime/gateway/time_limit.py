"""End a request that takes longer than it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.gateway.record import Record
from runtime.handoff.contract import Code, HandoffError


@asynccontextmanager
async def in_time(record: Record) -> AsyncIterator[None]:
    """Cancel the block when the request's time is over, or the gateway's, and raise ``HandoffError``.

    Its code is ``deadline_exceeded`` or ``stopping``.
    """
    try:
        async with asyncio.timeout_at(record.ends_at) as limit:
            with record.stopping.ends(limit):
                yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        if record.stopping.over:
            message = "this gateway stops: ask again, which comes to another one"
            raise HandoffError(Code.STOPPING, message) from error
        raise HandoffError(Code.DEADLINE_EXCEEDED, "the request took longer than it may: ask for less") from error
