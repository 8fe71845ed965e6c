"""Write an answer as it comes."""

from __future__ import annotations

import asyncio


class Stream:
    """Hold an answer of status 200 under way; where it is not ``chunked``, its end is that of the connection.

    The ``head`` goes with the first bytes where these are here already, else by itself.
    """

    status = 200

    def __init__(self, transport: asyncio.Transport, writable: asyncio.Event, head: bytes, *, chunked: bool) -> None:
        self._transport = transport
        self._writable = writable
        self._head = head
        self._chunked = chunked
        asyncio.get_running_loop().call_soon(self._send, b"")

    async def write(self, data: bytes) -> None:
        """Write, and wait while the client is slower; raise ``ConnectionResetError`` where it has left."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")
        if data:
            self._send(self._framed(data))
        if not self._writable.is_set():
            await self._writable.wait()

    def end(self) -> None:
        """End the answer well."""
        self._send(b"0\r\n\r\n" if self._chunked else b"")

    def end_with(self, data: bytes) -> None:
        """End it with ``data``; a client that has stopped reading is cut off, for it would hold the stream open."""
        if not self._writable.is_set():
            self._transport.abort()
        else:
            self._send(self._framed(data))
            self.end()

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data

    def _send(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        if data and not self._transport.is_closing():
            self._transport.write(data)
