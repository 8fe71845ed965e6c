"""Remember a stream as it passes, and let only whole events through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from runtime.gateway.peers.upstream import UnreachableError
from runtime.gateway.sse.events import MAX_EVENT_BYTES

MOST_BYTES: Final = 4 * 2**20
"""What is remembered of one stream, some 18,000 tokens; a longer one cannot be continued."""
_END: Final = b"\n\n"
_DONE: Final = (b"data: [DONE]\n\n", b"data:[DONE]\n\n")
_TIGHT: Final = re.compile(rb"^data:\{", re.MULTILINE)
_ERROR: Final = {False: b'data: {"error"', True: b'data:{"error"'}
"""How a peer's error begins, by whether it writes events without a space. That is found out once a stream: to look for
both in each chunk would cost half as much again."""
_CR: Final = ord("\r")
_IDS: Final = re.compile(rb',"(?:prompt_)?token_ids":(?:\[[0-9,]*\]|null)')
"""What was asked for on the gateway's behalf; a quote inside a JSON string is escaped, so no answer's text matches."""


class Journal:
    """Take in a peer's bytes; the cost is per chunk, and one regular expression over it. Lines end in LF afterwards.

    Where ``shown``, the client has asked for the ids itself. ``finished`` tells that the stream said it was complete,
    ``failed`` that the peer said that it was not.
    """

    def __init__(self, *, shown: bool) -> None:
        self.finished = False
        self.failed = False
        self._shown = shown
        self._kept: list[bytes] | None = []
        self._size = 0
        self._rest = b""
        self._error: bytes | None = None

    @property
    def events(self) -> Sequence[bytes] | None:
        """All whole events so far, None where there were too many."""
        return self._kept

    def push(self, received: bytes) -> bytes:
        """Return what may go to the client now; raise ``UnreachableError`` where an event does not end."""
        text = self._rest + received if self._rest else received
        if _CR in text:  # lines may end in CR LF as well; half of one, at the end, is not within a whole event
            text = text.replace(b"\r\n", b"\n")
        end = text.rfind(_END) + len(_END)
        if end < len(_END):
            end = 0
        whole, self._rest = text[:end], text[end:]
        if len(self._rest) > MAX_EVENT_BYTES:
            raise UnreachableError(f"it sent an event of more than {MAX_EVENT_BYTES} bytes")
        if self._error is None and whole:
            self._error = _ERROR[_TIGHT.search(whole) is not None]
        if self._error and (error := whole.find(self._error)) >= 0:
            self.failed, whole = True, whole[:error]
        self.finished = whole.endswith(_DONE)
        self._keep(whole)
        return whole if self._shown else _IDS.sub(b"", whole)

    def cut(self) -> None:
        """Forget the event that a broken peer did not end; what follows is another's."""
        self.failed, self._rest = False, b""

    def _keep(self, whole: bytes) -> None:
        if self._kept is None or not whole:
            return
        self._size += len(whole)
        if self._size > MOST_BYTES:
            self._kept = None
        else:
            self._kept.append(whole)
