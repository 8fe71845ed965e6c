"""Own the memory of KV caches, as a CS-3 does: memory that is new to a process costs a third of a READ in faults.

Parts are not cleared: nobody reads a token's KV before it is written.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

Octets = NDArray[np.uint8]

KEPT_BYTES: Final = 2**30
"""The most that the emulator keeps, 46,000 tokens of SmolLM2-135M; whatever else is needed is the system's."""
STEP: Final = 4096
"""Parts begin at multiples of it: a page."""


class Arena:
    """Hand out parts of ``size`` bytes, the lowest that are free, so that memory which was used is used again.

    A part comes back when the last array that shares it is gone, thus not while a READ may write into it. ``take`` is
    for one thread; arrays may go in any.
    """

    def __init__(self, size: int) -> None:
        self._memory = np.empty(size, np.uint8).data
        self._free = [range(size)]
        self._returned: deque[range] = deque()

    def take(self, nbytes: int) -> Octets:
        """Return ``nbytes`` bytes of any content, of new memory where no part is large enough."""
        self._collect()
        needed = -(-nbytes // STEP) * STEP
        at = next((at for at, free in enumerate(self._free) if len(free) >= needed), None)
        if at is None:
            return np.empty(nbytes, np.uint8)
        free = self._free[at]
        taken, self._free[at] = free[:needed], free[needed:]
        # not a slice of the array: a view of that would hold the whole in place of the part
        part = np.frombuffer(self._memory[taken.start : taken.start + nbytes], np.uint8)
        weakref.finalize(part, self._returned.append, taken).atexit = False
        return part

    def _collect(self) -> None:
        """Put parts that came back among the free ones, neighbours as one."""
        while self._returned:
            self._free.append(self._returned.popleft())
        joined: list[range] = []
        for free in sorted(filter(None, self._free), key=lambda free: free.start):
            if joined and joined[-1].stop == free.start:
                joined[-1] = range(joined[-1].start, free.stop)
            else:
                joined.append(free)
        self._free = joined
