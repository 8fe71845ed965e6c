"""Write what happens as one JSON object a line on stdout; never a prompt, an answer or a key."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder()


def write(event: str, **fields: object) -> None:
    """Write one line: ``time`` (ISO 8601, UTC), ``event``, then the fields."""
    write_line(_line(event, fields))


def write_line(line: bytes) -> None:
    """Write a line that is JSON already."""
    out = sys.stdout.buffer
    out.write(line + b"\n")
    out.flush()


class Lines:
    """Write lines at the event loop's next turn: those of one turn cost one call of the system together."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def write(self, event: str, fields: Mapping[str, object]) -> None:
        """Write one line soon; what must not wait for the loop is to be flushed."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(_line(event, fields))

    def flush(self) -> None:
        """Write what is there."""
        if self._lines:
            write_line(b"\n".join(self._lines))
            self._lines.clear()


def _line(event: str, fields: Mapping[str, object]) -> bytes:
    line = {"time": datetime.now(UTC), "event": event}
    line |= fields
    return _ENCODER.encode(line)
