"""Follow a server-sent event stream by its bytes, without reading its events."""

from __future__ import annotations

import json
from typing import Final

from runtime.handoff.contract import HandoffError

_SHORT: Final = 32  # the last event, "data: [DONE]", and its line ends
_KEPT: Final = 4096  # the event before, which may tell the usage


class Tail:
    """Remember how a stream ended: the cost is per chunk, not per token, and nothing is copied for most."""

    def __init__(self) -> None:
        self._before = self._last = b""

    def push(self, chunk: bytes) -> None:
        """Take note of the next bytes."""
        if len(chunk) > _SHORT:
            self._before, self._last = self._last, chunk if len(chunk) <= _KEPT else chunk[-_KEPT:]
        else:
            self._last = (self._last + chunk)[-_KEPT:]

    @property
    def end(self) -> bytes:
        """What came last: some events, or as much of them as is kept."""
        return self._before + self._last

    @property
    def finished(self) -> bool:
        """Whether the stream said that it was complete; without it, an end is a truncation."""
        return self.end.rstrip().endswith((b"data: [DONE]", b"data:[DONE]"))

    def error_event(self, error: HandoffError) -> bytes:
        """Return the event that tells the client why the stream ends here."""
        end = self.end
        between_events = not end or end.endswith((b"\n\n", b"\r\n\r\n"))
        separator = b"" if between_events else b"\n\n"
        return separator + b"data: " + json.dumps(error.body()).encode() + b"\n\n"
