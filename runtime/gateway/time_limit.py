"""End a request that takes longer than it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.gateway.record import Record
from runtime.handoff.contract import Code, HandoffError


@asynccontextmanager
async def in_time(record: Record) -> AsyncIterator[None]:
    """Cancel the block when the request's time is over, and raise ``HandoffError`` (``deadline_exceeded``)."""
    try:
        async with asyncio.timeout_at(record.ends_at) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise HandoffError(Code.DEADLINE_EXCEEDED, "the request took longer than it may: ask for less") from error
