"""Find registered memory by address, and nothing else."""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import Any

from numpy.typing import NDArray

from runtime.handoff.transport.agent import Registration


class Memory:
    """Know the arrays that are open to transfers."""

    def __init__(self) -> None:
        self._arrays: list[tuple[int, int, NDArray[Any]]] = []

    def add(self, registration: Registration) -> None:
        """Open a registration's arrays."""
        for array in registration.arrays:
            insort(self._arrays, (array.ctypes.data, array.nbytes, array), key=lambda entry: entry[0])

    def remove(self, registration: Registration) -> None:
        """Close them; each array is closed as often as it was opened."""
        for array in registration.arrays:
            self._arrays.pop(next(i for i, (_, _, held) in enumerate(self._arrays) if held is array))

    def view(self, address: int, length: int) -> memoryview | None:
        """Return the bytes at an address, None where they are not all in one open array."""
        for index in range(bisect_right(self._arrays, address, key=lambda entry: entry[0]) - 1, -1, -1):
            start, size, array = self._arrays[index]
            if address + length <= start + size:
                flat: memoryview = array.reshape(-1).view("u1").data
                return flat[address - start : address - start + length]
        return None
