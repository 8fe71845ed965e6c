"""Write an answer as it comes."""

from __future__ import annotations

import asyncio


class Stream:
    """Hold an answer of status 200 under way; where it is not ``chunked``, its end is that of the connection."""

    status = 200

    def __init__(self, transport: asyncio.Transport, writable: asyncio.Event, *, chunked: bool) -> None:
        self._transport = transport
        self._writable = writable
        self._chunked = chunked

    async def write(self, data: bytes) -> None:
        """Write, and wait while the client is slower; raise ``ConnectionResetError`` where it has left."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")
        if data:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        if not self._writable.is_set():
            await self._writable.wait()

    def end(self) -> None:
        """End the answer well."""
        if self._chunked and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")

    def end_with(self, data: bytes) -> None:
        """End it with ``data``; a client that has stopped reading is cut off, for it would hold the stream open."""
        if not self._writable.is_set():
            self._transport.abort()
        elif not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            self.end()
