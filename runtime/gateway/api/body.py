"""Read a request's body within its bounds."""

from __future__ import annotations

import asyncio
from typing import Final

from runtime.gateway.http.message import Request
from runtime.handoff.contract import Code, HandoffError

SECONDS: Final = 120.0
"""How long a body may take: 4 MiB at 35 kB/s."""
_DIGITS: Final = 16


def expected(request: Request, most: int) -> int:
    """Return how many bytes a body may come to hold before it is refused as larger than ``most``."""
    told = request.headers.get("content-length", "")
    if told.isdecimal() and len(told) < _DIGITS:
        return min(int(told), most)
    return most if told or "transfer-encoding" in request.headers else 0


async def read_body(request: Request, most: int) -> bytes:
    """Return a body of at most ``most`` bytes; raise ``HandoffError`` (``invalid_request``) where it takes too long.

    Raise ``HttpError`` where there is more of it.
    """
    if request.body.complete:
        return await request.body.read(most)  # which waits for nothing: a timer would be set in vain
    try:
        async with asyncio.timeout(SECONDS):
            return await request.body.read(most)
    except TimeoutError as error:
        message = f"the body did not arrive within {SECONDS:g} s"
        raise HandoffError(Code.INVALID_REQUEST, message) from error
