"""Write what happens as one JSON object a line on stdout; never a prompt, an answer or a key."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import msgspec


def write(event: str, **fields: object) -> None:
    """Write one line: ``time`` (ISO 8601, UTC), ``event``, then the fields."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
    write_line(msgspec.json.encode(line).decode())


def write_line(line: str) -> None:
    """Write a line that is JSON already."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
