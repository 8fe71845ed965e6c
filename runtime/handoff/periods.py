"""Publish once for each clock minute, so that CloudWatch counts every program once in a period of sixty seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from runtime.handoff.metrics import PERIOD_SECONDS


def remaining(now: float) -> float:
    """Return the seconds from ``now``, in seconds since 1970, to the end of its period."""
    return PERIOD_SECONDS - now % PERIOD_SECONDS


@asynccontextmanager
async def publishing(publish: Callable[[float], Awaitable[None]]) -> AsyncIterator[None]:
    """Await ``publish(began)`` at the end of each period and once more on leaving, for the period that is cut short."""
    stopped = asyncio.Event()

    async def run() -> None:
        while not stopped.is_set():
            began = time.time()
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), remaining(began))
            await publish(began)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        stopped.set()
        await task
