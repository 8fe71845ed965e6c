"""Move bytes over a socket that never blocks: gather them from many places, scatter them into many."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable
from typing import Final

BUFFERS: Final = 512
"""Places to send from or receive into at once; Linux takes 1,024."""
SOCKET_BYTES: Final = 4 * 2**20
"""Asked of the kernel for each direction; it grants less unless it is told otherwise."""


class Outgoing:
    """Queue bytes, without copying them, until the socket takes them."""

    def __init__(self) -> None:
        self._parts: deque[memoryview] = deque()

    def __bool__(self) -> bool:
        return bool(self._parts)

    def put(self, parts: Iterable[bytes | memoryview]) -> None:
        """Queue parts after those that wait; they must not change until they have left."""
        self._parts.extend(memoryview(part) for part in parts if len(part))

    def send(self, sock: socket.socket) -> int:
        """Send what the socket takes now; return the bytes, 0 where it takes none. Raises ``OSError``."""
        try:
            sent = sock.sendmsg([part for part, _ in zip(self._parts, range(BUFFERS), strict=False)])
        except BlockingIOError:
            return 0
        advance(self._parts, sent)
        return sent


def receive(sock: socket.socket, into: deque[memoryview]) -> int:
    """Fill the first places of ``into`` with what has come, and drop those that are full; return the bytes.

    0 means that nothing has come. Raises ``OSError``, and ``ConnectionResetError`` at the end of the stream.
    """
    try:
        got = sock.recvmsg_into([part for part, _ in zip(into, range(BUFFERS), strict=False)])[0]
    except BlockingIOError:
        return 0
    if got == 0:
        raise ConnectionResetError("the peer has closed the connection")
    advance(into, got)
    return got


def advance(parts: deque[memoryview], count: int) -> None:
    """Drop the first ``count`` bytes."""
    while count:
        part = parts.popleft()
        if len(part) > count:
            parts.appendleft(part[count:])
        count -= min(count, len(part))


def prepare(sock: socket.socket) -> None:
    """Make a socket ready for ``Outgoing`` and ``receive``."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)


def exactly(count: int) -> tuple[bytearray, deque[memoryview]]:
    """Return a buffer, and itself as the places to receive into."""
    buffer = bytearray(count)
    return buffer, deque([memoryview(buffer)] if count else [])
