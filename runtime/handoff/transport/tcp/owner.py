"""Answer one peer's READs out of registered memory, and take its notices."""

from __future__ import annotations

import hmac
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from runtime.handoff.transport.tcp import frames
from runtime.handoff.transport.tcp.channel import Outgoing, exactly, receive
from runtime.handoff.transport.tcp.frames import GREETING, HEADER, Kind, ProtocolError
from runtime.handoff.transport.tcp.memory import Memory

INBOX: Final = 1000
"""Notices that wait for the owner before it reads no more from their senders."""

Inbox = deque[tuple[str, bytes]]
Step = Callable[[bytes], None]


class Serving:
    """Hold one accepted connection; ``peer`` is empty until it has greeted with the token."""

    def __init__(self, sock: socket.socket, memory: Memory, inbox: Inbox, token: bytes) -> None:
        self.sock = sock
        self.peer = ""
        self._memory, self._inbox, self._token = memory, inbox, token
        self._asked: deque[tuple[int, list[frames.Range]]] = deque()
        self._out = Outgoing()
        self._expect(GREETING.size, self._greeted)

    @property
    def wants(self) -> tuple[bool, bool]:
        """Whether to wait until it can receive, and until it can send."""
        return len(self._inbox) < INBOX, bool(self._out or self._asked)

    def step(self) -> int:
        """Receive and send what can be now; return the bytes. Raises ``OSError`` or ``ProtocolError``: close it."""
        moved = self._receive() if self.wants[0] else 0
        if not self._out and self._asked:
            self._answer(*self._asked.popleft())
        return moved + (self._out.send(self.sock) if self._out else 0)

    def fail(self, reason: str) -> None:
        """Take note that the connection is closed; the peer finds out by itself."""

    def _receive(self) -> int:
        got = receive(self.sock, self._into)
        if got and not self._into:
            step, body = self._step, bytes(self._buffer)
            step(body)
        return got

    def _expect(self, count: int, step: Step) -> None:
        self._buffer, self._into = exactly(count)
        self._step = step
        if not count:
            step(b"")

    def _greeted(self, raw: bytes) -> None:
        magic, token, length = GREETING.unpack(raw)
        if magic != frames.MAGIC or not hmac.compare_digest(token, self._token) or not length:
            raise ProtocolError("the greeting is not for this life of this agent")
        self._expect(length, self._named)

    def _named(self, raw: bytes) -> None:
        self.peer = raw.decode(errors="replace")
        self._expect(HEADER.size, self._headed)

    def _headed(self, raw: bytes) -> None:
        kind, number, length = HEADER.unpack(raw)
        if kind == Kind.READ and length <= frames.READ_RANGES * frames.RANGE.size:
            self._expect(length, lambda body: self._read(number, body))
        elif kind == Kind.NOTICE and length <= frames.NOTICE_BYTES:
            self._expect(length, self._noticed)
        else:
            raise ProtocolError(f"a frame of kind {kind} with {length} bytes is not allowed here")

    def _read(self, number: int, body: bytes) -> None:
        if len(self._asked) >= frames.WINDOW:
            raise ProtocolError(f"more than {frames.WINDOW} READs are unanswered")
        self._asked.append((number, frames.ranges_in(body)))
        self._expect(HEADER.size, self._headed)

    def _noticed(self, body: bytes) -> None:
        self._inbox.append((self.peer, body))
        self._expect(HEADER.size, self._headed)

    def _answer(self, number: int, ranges: list[frames.Range]) -> None:
        views = [self._memory.view(address, length) for address, length in ranges]
        found = [view for view in views if view is not None]
        if len(found) < len(ranges):
            reason = f"{len(ranges) - len(found)} of {len(ranges)} ranges are not registered".encode()
            self._out.put([HEADER.pack(Kind.REFUSED, number, len(reason)), reason])
            return
        self._out.put([HEADER.pack(Kind.DATA, number, sum(map(len, found))), *found])
