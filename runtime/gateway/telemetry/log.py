"""Write what happens as one JSON object a line on stdout; never a prompt, an answer or a key."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder()


def write(event: str, **fields: object) -> None:
    """Write one line: ``time`` (ISO 8601, UTC), ``event``, then the fields."""
    write_event(event, fields)


def write_event(event: str, fields: Mapping[str, object]) -> None:
    """Write the same of fields that are together already."""
    line = {"time": datetime.now(UTC), "event": event}
    line |= fields
    write_line(_ENCODER.encode(line))


def write_line(line: bytes) -> None:
    """Write a line that is JSON already."""
    out = sys.stdout.buffer
    out.write(line + b"\n")
    out.flush()
