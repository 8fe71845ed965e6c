"""Bring KV into the engine's cache window by window: some are read while another thread settles the last.

To settle a window is to digest it where it was read in place, else to convert it into the cache and digest it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import digest
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.convert import translate
from runtime.handoff.kv.digest import Digester
from runtime.handoff.kv.element import DTYPES, Stored
from runtime.handoff.kv.memory import Holding, Integers
from runtime.handoff.seal import Seal
from runtime.standins.engine.layer import Half
from runtime.standins.reader.window import TURNS, WINDOW_BYTES, Window, cut, engines

SETTLING: Final = ThreadPoolExecutor(1, "settling")
"""Settles the windows of all imports, each in the order it came: a thread for each import took 0.5 ms to start."""

Read = Callable[[Integers], Coroutine[Any, Any, int]]
"""Read ``[local, remote, bytes]`` into registered memory, and return the bytes moved."""

Settled = asyncio.Future[None]
Begin = Callable[[Coroutine[Any, Any, int]], asyncio.Task[int]]


class Landing:
    """Land the KV of ``worker``, of one rank, in the first ``num_tokens`` tokens of ``cache``; its rest is not touched.

    ``cache`` has one block, or blocks as long as the worker's; ``memory`` is to be registered for ``bring``. ``seal``
    is what the worker says of its KV, None where it says nothing. Raises ``HandoffError`` as ``Holding.check`` does.
    """

    def __init__(
        self, worker: Holding, num_tokens: int, cache: Half, seal: Seal | None, *, window_bytes: int = WINDOW_BYTES
    ) -> None:
        self.memory, self._windows = cut(worker, num_tokens, cache, window_bytes)
        self._cache, self._num_tokens, self._seal = cache, num_tokens, seal
        described, (layers, halves, _, _, *vector) = worker.description, cache.shape
        shape, element = (layers, halves, num_tokens, *vector), DTYPES[described.element]
        self._digester = Digester(shape, element, seal.block_tokens, described.block_size) if seal else None
        self._element, self._overflows = described.element, False

    async def bring(self, read: Read) -> int:
        """Read all of it and return the bytes moved; what fails is raised as ``read`` does."""
        settled: list[Settled] = []
        try:
            async with asyncio.TaskGroup() as tasks:  # no read outlasts it
                return await self._bring(read, tasks.create_task, settled)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:  # and nothing is written into the cache afterwards
            await _outlasted(settled)

    async def _bring(self, read: Read, begin: Begin, settled: list[Settled]) -> int:
        brought: list[asyncio.Task[int]] = []
        for number, window in enumerate(self._windows):
            if number >= TURNS:
                await brought[number - TURNS]
                if window.staged:
                    await asyncio.shield(settled[number - TURNS])  # it is read into the memory of that one
            brought.append(begin(self._bring_one(window, read, brought[-1:], settled)))
            await asyncio.sleep(0)  # it is asked for before the next is planned
        moved = sum([await task for task in brought])
        await asyncio.gather(*map(asyncio.shield, settled))  # a cancelled future would say nothing of its thread
        return moved

    async def _bring_one(
        self, window: Window, read: Read, before: Sequence[asyncio.Task[int]], settled: list[Settled]
    ) -> int:
        """Read a window, and let it be settled at once, but not before the one before it: digests are in order."""
        moved = await read(window.pairs)
        for task in before:
            await task
        settled.append(asyncio.get_running_loop().run_in_executor(SETTLING, self._settle, window))
        return moved

    def verify(self) -> None:
        """Raise ``HandoffError`` unless what was brought may be decoded.

        ``kv_corrupt`` on bytes that the worker did not digest; ``kv_layout`` on values that f16 cannot hold.
        """
        if self._digester and self._seal:
            digest.compare(self._digester.digests(), self._seal)
        if self._overflows:
            raise HandoffError(Code.KV_LAYOUT, f"worker's KV in {self._element} has values that f16 cannot hold")

    def _settle(self, window: Window) -> None:
        """Make a window the cache's; digests are of the worker's own elements."""
        kv = self._cache[window.layers]
        if window.staged is None:
            self._digest(kv)
            return
        described = window.staged.description
        ours = engines(described, kv.shape[3])
        if (ours.element, ours.rope) == (described.element, described.rope):
            window.staged.read_into(kv, self._num_tokens)
            self._digest(kv)
            return
        theirs = window.staged.read(self._num_tokens)
        self._digest(theirs[:, :, None])
        narrowed, _ = translate(theirs, described, ours)
        self._overflows |= not np.isfinite(narrowed).all()
        blocks = range(-(-self._num_tokens // ours.block_size))
        Cache(description=ours, ranks=(tuple(kv.swapaxes(1, 2)),), block_ids=(tuple(blocks),)).write(narrowed)

    def _digest(self, pages: Stored) -> None:
        if self._digester:
            self._digester.advance_all(pages)


async def _outlasted(settled: Sequence[Settled]) -> None:
    """Wait until nothing is settled any more, however often that is cancelled."""
    cancelled = None
    while pending := [each for each in settled if not each.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    await asyncio.gather(*settled, return_exceptions=True)  # where a read failed nobody asked for their errors
    if cancelled:
        raise cancelled
