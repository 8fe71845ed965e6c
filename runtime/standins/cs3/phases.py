"""Measure the phases of a handoff."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Phases:
    """Add up the milliseconds of each phase between the arrival of a request and its first decode step."""

    def __init__(self) -> None:
        self._milliseconds = {"handshake": 0.0, "transfer": 0.0, "verify": 0.0}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Count the time inside the block, also when it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._milliseconds[name] += (time.perf_counter() - started) * 1000

    @property
    def seconds(self) -> float:
        """The sum of all phases."""
        return sum(self._milliseconds.values()) / 1000

    def server_timing(self) -> str:
        """Return the value of the ``Server-Timing`` header."""
        return ", ".join(f"{name};dur={spent:.3f}" for name, spent in self._milliseconds.items())
