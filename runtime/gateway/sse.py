"""Follow a server-sent event stream by its bytes, without reading its events."""

from __future__ import annotations

import json
from typing import Final

from runtime.handoff.contract import HandoffError

_KEPT: Final = 32  # bytes enough for the last event, "data: [DONE]", and its line ends


class Tail:
    """Remember how a stream ended: the cost is per chunk, not per token."""

    def __init__(self) -> None:
        self._last = b""

    def push(self, chunk: bytes) -> None:
        """Take note of the next bytes."""
        self._last = (self._last + chunk)[-_KEPT:] if len(chunk) < _KEPT else chunk[-_KEPT:]

    @property
    def finished(self) -> bool:
        """Whether the stream said that it was complete; without it, an end is a truncation."""
        return self._last.rstrip().endswith((b"data: [DONE]", b"data:[DONE]"))

    def error_event(self, error: HandoffError) -> bytes:
        """Return the event that tells the client why the stream ends here."""
        between_events = not self._last or self._last.endswith((b"\n\n", b"\r\n\r\n"))
        separator = b"" if between_events else b"\n\n"
        return separator + b"data: " + json.dumps(error.body()).encode() + b"\n\n"
