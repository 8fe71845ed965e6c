"""Run clean-up requests to their end, whatever becomes of the request that caused them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from runtime.gateway.peers.upstream import UnreachableError
from runtime.gateway.telemetry import log
from runtime.handoff.contract import HandoffError

_SECONDS: Final = 10.0


class Releases:
    """Hold clean-ups under way; one that fails is logged, and the peer's own time limit then frees what it held."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, request_id: str, clean_up: Coroutine[Any, Any, None]) -> None:
        """Run ``clean_up`` in a task of its own, so that no cancellation reaches it."""
        task = asyncio.create_task(self._run(request_id, clean_up))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait for every clean-up under way; each is bounded by itself."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _run(self, request_id: str, clean_up: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await clean_up
        except (UnreachableError, HandoffError, TimeoutError) as error:
            log.write("release_failed", request_id=request_id, error=f"{type(error).__name__}: {error}")
