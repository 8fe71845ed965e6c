"""Say what every transport does, in the shape of NIXL's agent: register, exchange, transfer, poll, notify, release.

No transport has a thread of its own, so both ends of a transfer must keep polling: the reader inside ``Agent.read``,
otherwise by calling ``Agent.notifications``. Nothing that a peer sends is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Pairs = Sequence[tuple[int, int, int]] | NDArray[np.int64]
"""``[n, 3]``: local address, remote address, length in bytes."""


@dataclass(frozen=True, eq=False, slots=True)
class Registration:
    """Hold arrays in place while a transport may touch them."""

    arrays: tuple[NDArray[Any], ...]

    def __post_init__(self) -> None:
        if not all(array.flags.c_contiguous for array in self.arrays):
            raise ValueError("an array to register is not contiguous: register its base instead")

    def holds_any(self, addresses: NDArray[np.int64]) -> bool:
        """Tell whether one of the addresses lies in one of the arrays."""
        spans = [(array.ctypes.data, array.ctypes.data + array.nbytes) for array in self.arrays]
        return any(((start <= addresses) & (addresses < stop)).any() for start, stop in spans)


class Agent(Protocol):
    """Own one end of a transport and all that is registered with it; use it from one thread only.

    Whatever the transport or a peer refuses is raised as ``HandoffError`` with ``Code.KV_TRANSFER``.
    """

    name: str
    """What peers know it by; unique among them."""

    @property
    def provider(self) -> str:
        """What the running transport goes by, read back from it: ``ucx``, ``efa``, ``libfabric-other`` or ``tcp``."""

    @property
    def metadata(self) -> bytes:
        """What a peer needs to read what is registered now; take it anew after each ``register``."""

    def register(self, *arrays: NDArray[Any]) -> Registration:
        """Open contiguous arrays to transfers in both directions and keep them alive until ``deregister``."""

    def deregister(self, registration: Registration, settled: Callable[[], None] = ...) -> None:
        """Close arrays to transfers, at once or as soon as no read that was given up can write into them any more.

        ``settled`` is called then: until it is, their memory must not be given to anyone else.
        """

    def add_remote(self, metadata: bytes) -> str:
        """Make a peer known by its ``metadata`` and return its name; it must not be known with other metadata."""

    def remove_remote(self, remote: str) -> None:
        """Forget a peer and disconnect from it."""

    async def read(self, remote: str, pairs: Pairs, notification: bytes, *, timeout: float = ...) -> int:
        """Copy the peer's memory into ours, then notify the peer unless that is empty; return the bytes moved.

        Raises ``HandoffError`` when the transfer fails or takes longer than ``timeout`` seconds. After that, or after
        a cancellation, the local memory must not be used again, and the peer may or may not be notified.
        """

    def notify(self, remote: str, message: bytes) -> None:
        """Send a peer a message that belongs to no transfer; to a new peer it leaves as this end goes on polling."""

    def notifications(self) -> list[tuple[str, bytes]]:
        """Return what peers sent since the last call, as (peer, message), in no order; and let transfers progress."""

    def close(self) -> None:
        """Release all; a second call does nothing."""


def merge(pairs: Pairs) -> NDArray[np.int64]:
    """Join pairs that follow each other without a gap on both sides; the bytes copied stay the same."""
    table = np.asarray(pairs, np.int64).reshape(-1, 3)
    gaps = (table[1:, :2] != table[:-1, :2] + table[:-1, 2:]).any(axis=1)
    starts = np.concatenate([np.flatnonzero(np.ones(min(len(table), 1))), np.flatnonzero(gaps) + 1])
    return np.column_stack([table[starts, :2], np.add.reduceat(table[:, 2], starts) if len(table) else table[:, 2]])


def cut(pairs: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Cut pairs of more than ``limit`` bytes into pieces of that, and a rest; the bytes copied stay the same."""
    counts = -(-pairs[:, 2] // limit)
    pieces = np.repeat(pairs, counts, axis=0)
    offsets = limit * (np.arange(len(pieces)) - np.repeat(np.cumsum(counts) - counts, counts))
    pieces[:, :2] += offsets[:, None]
    pieces[:, 2] = np.minimum(pieces[:, 2] - offsets, limit)
    return pieces
