"""Read server-sent events out of a stream of bytes, where an answer must be written in other words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

MAX_EVENT_BYTES: Final = 2**20
"""No chunk of an answer comes near it; a peer that sends more without an end of line is broken."""


class EventError(ValueError):
    """Tell why a peer's stream cannot be read."""


class Events:
    """Collect the ``data`` of events (WHATWG HTML, "server-sent events"); lines end in LF, CR LF or CR."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def push(self, received: bytes) -> Iterator[bytes]:
        """Yield the data of each event that is complete now; raise ``EventError``."""
        text = self._rest + received
        # a CR at the end may be half of a line's end
        held = b"\r" if text.endswith(b"\r") else b""
        lines = text[: len(text) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                data, self._data = b"\n".join(self._data), []
                yield data
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise EventError(f"an event of more than {MAX_EVENT_BYTES} bytes")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
