"""Let requests take blocks and the engine one at a time, first come, first served."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from runtime.standins.vllm.blocks import BlockAllocator

Blocks = tuple[int, ...]
Result = TypeVar("Result")


class Turns:
    """Queue requests for an engine that runs one at a time; ``waiting`` and ``running`` count them.

    A request that leaves (its task is cancelled) leaves the queue, or stops the engine and gives its blocks back.
    """

    def __init__(self, allocator: BlockAllocator) -> None:
        self.waiting = 0
        self.running = 0
        self._allocator = allocator
        self._freed = asyncio.Event()
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turn")

    @asynccontextmanager
    async def take(self, blocks: int) -> AsyncIterator[Blocks]:
        """Wait for the engine and ``blocks`` blocks; whoever takes them must ``free`` them, now or later."""
        self.waiting += 1
        try:
            await self._lock.acquire()
            taken = await self._allocate(blocks)
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield taken
        finally:
            self.running -= 1
            self._lock.release()

    def free(self, blocks: Blocks) -> None:
        """Take blocks back and wake who waits for them."""
        self._allocator.free(blocks)
        self._freed.set()

    async def run(self, work: Callable[[Callable[[], bool]], Result]) -> Result:
        """Run ``work`` beside the event loop; when cancelled, make its argument true and wait until it has stopped."""
        gone = threading.Event()
        future = asyncio.get_running_loop().run_in_executor(self._thread, work, gone.is_set)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            gone.set()
            while not future.done():  # until then its blocks and cache are in use, however often it is cancelled
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([future])
            future.exception()
            raise

    async def _allocate(self, count: int) -> Blocks:
        try:
            while (blocks := self._allocator.allocate(count)) is None:
                self._freed.clear()
                await self._freed.wait()
        except asyncio.CancelledError:
            self._lock.release()
            raise
        return blocks
