"""Bring KV into the engine's cache window by window: two are read while another thread converts and digests the last.

The engine's cache is f16 ``[layers, 2, capacity, kv_heads, head_dim]``, which is canonical order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Final

import msgspec
import numpy as np

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import digest
from runtime.handoff.kv.attention import Rope
from runtime.handoff.kv.convert import translate
from runtime.handoff.kv.description import Element
from runtime.handoff.kv.digest import Digester
from runtime.handoff.kv.element import DTYPES, Stored
from runtime.handoff.kv.memory import Holding, Integers
from runtime.handoff.seal import Seal
from runtime.standins.cs3.window import TURNS, WINDOW_BYTES, Window, cut
from runtime.standins.engine.layer import Half

AHEAD: Final = 2
"""Windows that are read at once: UCX brings both in one go, and pauses until the end of that is noticed."""

Read = Callable[[Integers], Coroutine[Any, Any, int]]
"""Read ``[local, remote, bytes]`` into registered memory, and return the bytes moved."""


class Landing:
    """Land the KV of ``worker``, of one rank, in the first ``num_tokens`` tokens of ``cache``; its rest is not touched.

    ``memory`` is to be registered for ``bring``. ``seal`` is what the worker says of its KV, None where it says
    nothing. Raises ``HandoffError`` as ``plan`` does.
    """

    def __init__(
        self, worker: Holding, num_tokens: int, cache: Half, seal: Seal | None, *, window_bytes: int = WINDOW_BYTES
    ) -> None:
        self.memory, self._windows = cut(worker, num_tokens, window_bytes)
        self._kv, self._seal = cache[:, :, :num_tokens], seal
        element = DTYPES[worker.description.element]
        self._digester = Digester(self._kv.shape, element, seal.block_tokens) if seal else None
        self._element, self._overflows = worker.description.element, False

    async def bring(self, read: Read) -> int:
        """Read all of it and return the bytes moved; what fails is raised as ``read`` does."""
        try:
            with ThreadPoolExecutor(1) as thread:  # windows settle one after the other
                async with asyncio.TaskGroup() as tasks:  # and no read outlasts it
                    return await self._bring(lambda window: tasks.create_task(read(window.pairs)), thread)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _bring(self, begin: Callable[[Window], asyncio.Task[int]], thread: Executor) -> int:
        loop, moved = asyncio.get_running_loop(), 0
        reads = [begin(window) for window in self._windows[:AHEAD]]
        settled: list[asyncio.Future[None]] = []
        for number, window in enumerate(self._windows):
            moved += await reads[number]
            settled.append(loop.run_in_executor(thread, self._settle, window))
            for following in self._windows[number + AHEAD : number + AHEAD + 1]:
                await asyncio.gather(*settled[: number + AHEAD - TURNS + 1])  # it is read into the last of these
                reads.append(begin(following))
        await asyncio.gather(*settled)
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
        """Put a window into the cache; digests are of the worker's own elements."""
        kv, described = self._kv[window.layers], window.staged.description
        ours = msgspec.structs.replace(described, element=Element.F16, rope=Rope.HALF_SPLIT)
        if ours == described:
            window.staged.read_into(kv)
            self._digest(kv)
            return
        theirs = window.staged.read(kv.shape[2])
        self._digest(theirs)
        narrowed, _ = translate(theirs, described, ours)
        self._overflows |= not np.isfinite(narrowed).all()
        kv[:] = narrowed

    def _digest(self, kv: Stored) -> None:
        if self._digester:
            self._digester.advance_all(kv)
