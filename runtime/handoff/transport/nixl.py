"""Move registered memory between processes by NIXL, the library that vLLM and vLLM-Neuron move KV with.

There is no progress thread: it spins a whole core.

NIXL cannot take a READ back: with UCX over TCP, data were seen to arrive after the handle had been released and even
after the peer had been removed. So a read that its caller gave up runs on unseen, and memory given back by
``deregister`` meanwhile stays alive and registered until NIXL has done with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from nixl_cu12 import _bindings, nixl_agent, nixl_agent_config, nixl_xfer_handle  # type: ignore[attr-defined]  # compiled
from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.efa import efa_devices_open
from runtime.handoff.transport.agent import Pairs, Registration, cut, merge

log = logging.getLogger(__name__)

NIXL_ERRORS: tuple[type[Exception], ...] = tuple(
    kind for name, kind in vars(_bindings).items() if name.startswith("nixl") and name.endswith("Error")
)
"""NIXL's exceptions, which share no base class."""

EAGER_POLLS = 3  # a transfer through shared memory has ended by then; TCP is slower for each more, with smaller batches
POLL_SECONDS = 0.0005  # afterwards: 46 MB over loopback TCP in tens of milliseconds for a few percent of a core
TCP_SEGMENT = "64k"  # what UCX sends at once over TCP; with its own 8 KB, 46 MB took 30 ms instead of 22
TCP_RANGE = 60 * 1024
"""The longest range that UCX is asked for: what one segment holds, beside its head.

UCX sends a segment of each range in turns, so of longer ones all that are being read end at once, however many READs
they belong to; then nothing is under way until that is noticed. Through shared memory cuts only cost: a third more.
"""
WHOLE = 2**62
"""More than any range has."""
CLOSING_POLLS = 100  # lets UCX bury peers that died; without it, it aborted 5 of 6 processes as they closed


@dataclass(frozen=True, eq=False, slots=True)
class Abandoned:
    """Hold a read that nobody waits for any more, and where it may still write."""

    handle: nixl_xfer_handle
    addresses: NDArray[np.int64]


class NixlAgent:
    """Own a NIXL agent; ``backend`` is NIXL's plugin: ``UCX``, or ``LIBFABRIC`` for EFA. See ``Agent``."""

    def __init__(self, name: str, *, backend: str = "UCX") -> None:
        self.name = name
        self.range_bytes = TCP_RANGE if backend == "UCX" else WHOLE
        """Longer ranges are cut, where the last READ from the same peer had not ended as soon as it was asked for."""
        self._awaited: set[str] = set()
        os.environ.setdefault("UCX_TCP_TX_SEG_SIZE", TCP_SEGMENT)
        with _refusals(f"NIXL backend {backend} cannot start"):
            self._nixl = nixl_agent(name, nixl_agent_config(enable_prog_thread=False, backends=[backend]))
        if backend not in self._nixl.backends:
            available = ", ".join(self._nixl.get_plugin_list())
            raise HandoffError(Code.KV_TRANSFER, f"NIXL has no backend {backend!r}, available: {available}")
        self._registrations: dict[Registration, Any] = {}
        self._remotes: set[str] = set()
        self._abandoned: list[Abandoned] = []
        self._given_back: dict[Registration, Callable[[], None]] = {}
        self._closed = False

    @property
    def provider(self) -> str:
        """``ucx``; or for LIBFABRIC what its open devices tell, since NIXL does not: ``efa``, ``libfabric-other``."""
        if "LIBFABRIC" not in self._nixl.backends:
            return "ucx"
        return "efa" if efa_devices_open(os.environ, processes="self") else "libfabric-other"

    @property
    def metadata(self) -> bytes:
        """See ``Agent``."""
        return bytes(self._nixl.get_agent_metadata())

    def register(self, *arrays: NDArray[Any]) -> Registration:
        """See ``Agent``."""
        registration = Registration(arrays)
        regions = [(array.ctypes.data, array.nbytes, 0, "") for array in arrays]
        with _refusals("memory cannot be registered"):
            self._registrations[registration] = self._nixl.register_memory(regions, "DRAM")
        return registration

    def deregister(self, registration: Registration, settled: Callable[[], None] = lambda: None) -> None:
        """See ``Agent``."""
        self._given_back[registration] = settled
        self._sweep()

    def add_remote(self, metadata: bytes) -> str:
        """See ``Agent``."""
        with _refusals("the peer's agent metadata is unusable"):
            name = self._nixl.add_remote_agent(metadata)
        remote: str = name.decode() if isinstance(name, bytes) else name  # NIXL is annotated str and returns bytes
        self._remotes.add(remote)
        return remote

    def remove_remote(self, remote: str) -> None:
        """See ``Agent``."""
        self._remotes.discard(remote)
        self._awaited.discard(remote)
        with _refusals(f"peer {remote} cannot be removed"):
            self._nixl.remove_remote_agent(remote)

    async def read(self, remote: str, pairs: Pairs, notification: bytes, *, timeout: float = 30.0) -> int:
        """See ``Agent``."""
        ranges = cut(merge(pairs), self.range_bytes if remote in self._awaited else WHOLE)
        with _refusals(f"KV cannot be read from {remote}"):
            handle = self._initialize(remote, ranges, notification)
            try:
                async with asyncio.timeout(timeout):
                    await self._complete(handle, remote)
            except TimeoutError as error:
                raise HandoffError(Code.KV_TRANSFER, f"KV read from {remote} took over {timeout:g} s") from error
            finally:
                self._abandoned.append(Abandoned(handle, ranges[:, 0]))
                self._sweep()
        return int(ranges[:, 2].sum())

    def notify(self, remote: str, message: bytes) -> None:
        """See ``Agent``."""
        with _refusals(f"peer {remote} cannot be notified"):
            self._nixl.send_notif(remote, message)

    def notifications(self) -> list[tuple[str, bytes]]:
        """See ``Agent``."""
        with _refusals("notifications cannot be read"):
            received: dict[str, list[bytes]] = self._nixl.get_new_notifs()
        self._sweep()
        return [(peer, message) for peer, messages in received.items() for message in messages]

    def close(self) -> None:
        """Release handles, memory and peers, in the order NIXL needs; without it a process may crash as it exits."""
        if self._closed:
            return
        self._closed = True
        for _ in range(CLOSING_POLLS):
            self._nixl.get_new_notifs()
        for read in self._abandoned:
            with _logged("release a transfer"):
                self._nixl.release_xfer_handle(read.handle)
        for descriptors in self._registrations.values():
            with _logged("deregister memory"):
                self._nixl.deregister_memory(descriptors)
        for remote in self._remotes:
            with _logged(f"remove peer {remote}"):
                self._nixl.remove_remote_agent(remote)
        del self._nixl

    def _initialize(self, remote: str, pairs: NDArray[np.int64], notification: bytes) -> nixl_xfer_handle:
        device = np.zeros(len(pairs), np.int64)
        columns = [np.column_stack([pairs[:, side], pairs[:, 2], device]).astype(np.uint64) for side in (0, 1)]
        # from lists, the same takes fifty times longer
        local, distant = (self._nixl.get_xfer_descs(each, "DRAM") for each in columns)
        return self._nixl.initialize_xfer("READ", local, distant, remote, notification)

    async def _complete(self, handle: nixl_xfer_handle, remote: str) -> None:
        state, polls = self._nixl.transfer(handle), 0
        (self._awaited.add if state == "PROC" else self._awaited.discard)(remote)
        while state == "PROC":
            await asyncio.sleep(0 if polls < EAGER_POLLS else POLL_SECONDS)
            state, polls = self._nixl.check_xfer_state(handle), polls + 1
        if state != "DONE":
            raise HandoffError(Code.KV_TRANSFER, f"KV transfer ended in state {state}")

    def _sweep(self) -> None:
        """Release the reads that have ended, then the memory given back that no read may write into."""
        self._abandoned = [read for read in self._abandoned if self._is_running(read.handle)]
        busy = np.concatenate([read.addresses for read in self._abandoned] or [np.zeros(0, np.int64)])
        for registration in [each for each in self._given_back if not each.holds_any(busy)]:
            settled = self._given_back.pop(registration)
            descriptors = self._registrations.pop(registration)
            with _refusals("memory cannot be deregistered"):
                self._nixl.deregister_memory(descriptors)
            settled()

    def _is_running(self, handle: nixl_xfer_handle) -> bool:
        """Tell whether a read is still under way, and release it if it is not."""
        with _refusals("a KV read cannot be released"):
            try:
                running: bool = self._nixl.check_xfer_state(handle) == "PROC"
            except NIXL_ERRORS:
                running = False  # it failed: whoever waited for it was told
            if not running:
                self._nixl.release_xfer_handle(handle)
        return running


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    try:
        yield
    except NIXL_ERRORS as error:
        raise HandoffError(Code.KV_TRANSFER, f"{what}: {error}") from error


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """Let the rest of ``close`` go on."""
    try:
        yield
    except NIXL_ERRORS as error:
        log.warning("cannot %s: %s", what, error)
