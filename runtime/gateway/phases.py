"""Measure the phases of one request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Phases:
    """Hold one request's phases in milliseconds, in order, and the prefill worker that it was given to."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self.worker: str | None = None

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure a block, whether it ends well or not."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.milliseconds[name] = round((time.perf_counter() - start) * 1000, 3)

    def server_timing(self, names: tuple[str, ...], endpoint: str | None) -> str:
        """Return a ``Server-Timing`` value: the measured ones of ``names``, then the endpoint's own."""
        own = [f"{name};dur={self.milliseconds[name]}" for name in names if name in self.milliseconds]
        return ", ".join([*own, endpoint] if endpoint else own)
