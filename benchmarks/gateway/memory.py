"""Watch a gateway's memory: over many requests, and with streams whose clients read slowly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.gateway.measure import Running, load, running
from benchmarks.gateway.peers import Relay

REQUESTS: Final = 200_000
PARTS: Final = 4
IDLE, BUSY, SLOW = 512, 256, 16
RATE: Final = 100
"""Events a second of each busy stream: all of them are far more than they need to be to fill what is not bounded."""


def measured(relay: Relay) -> Iterator[str]:
    """Yield a line for each stage: resident MB, and open files."""
    with running(relay) as process:
        load("short", 32, 5)
        yield _line("after warming up", process)
        for part in range(1, PARTS + 1):
            told = load("short", 32, 3600, REQUESTS // PARTS)
            done = part * REQUESTS // PARTS
            yield _line(f"after {done:,} requests, {told['failures']} failed", process)
        told = load("streams", BUSY, 20, RATE, IDLE, SLOW)
        held = f"after {BUSY} busy, {IDLE} idle, {SLOW} slow streams, {told['failures']} failed"
        yield _line(held, process)


def _line(what: str, process: Running) -> str:
    return f"{what:<60}{process.memory_mb:>8.1f} MB"
