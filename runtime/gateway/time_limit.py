"""End a request that takes longer than it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

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


async def last_words(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    """End a stream with ``data``; a client that has stopped reading is cut off, for it would hold the stream open."""
    transport = request.transport
    if transport is None:
        return
    low, _ = transport.get_write_buffer_limits()
    if transport.get_write_buffer_size() > low:  # where a cancelled write of aiohttp's would cancel the next one, too
        transport.abort()
        return
    await response.write(data)
    await response.write_eof()
