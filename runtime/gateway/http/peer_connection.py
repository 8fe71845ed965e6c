"""Hold one connection to a peer: one request at a time, whose answer is parsed as it comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Self, cast

import httptools

from runtime.gateway.http.headers import add
from runtime.gateway.http.watch import Watch
from runtime.gateway.peers.upstream import UnreachableError

KEEP_ALIVE_SECONDS: Final = 3.0
"""How long a connection may lie idle: below the 5 s of vLLM's server, so that it never closes one we just chose."""
_MOST_HELD: Final = 2**17
"""Bytes of an answer that are held for a reader who is slower than the peer, which then has to wait."""
_MOST_HEAD: Final = 2**16
_BODILESS: Final = frozenset({204, 304})
_ALIVE: Final = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
"""After so many seconds of silence a peer's kernel is asked, so often and so many times: a host that is gone says
nothing by itself, and is noticed within 25 s."""


class PeerConnection(asyncio.Protocol):
    """Implement ``upstream.Response``: after ``ask`` wait for the ``head``, take the body, and ``leave``.

    ``keep`` is told then where another request may follow, else the connection ends, as it does when none follows in
    time. The methods that begin with ``on_`` are called by httptools, all within ``data_received``.
    """

    status = 0
    headers: dict[str, str]
    transport: asyncio.Transport
    _silence = _pause = 0.0
    _headed = _paused = _asked = False
    _waiter: asyncio.Future[None] | None = None

    def __init__(self, keep: Callable[[PeerConnection], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._keep = keep
        self._watch = Watch(self._late)
        self._parser = httptools.HttpResponseParser(self)
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.headers = {}
        self._begin()
        self._complete = True  # nothing is asked for yet

    def ask(self, request: bytes, silence: float, pause: float) -> None:
        """Send a request; see ``upstream.Client`` for how long the peer may be silent."""
        self._begin()
        self._asked, self._silence, self._pause = True, silence, min(silence, pause)
        self._watch.until(self._loop.time() + silence)
        self.transport.write(request)

    async def head(self) -> None:
        """Wait for ``status`` and ``headers``; raise ``UnreachableError``."""
        while not self._headed:
            await self._more()

    async def read(self) -> bytes:
        """Return the whole body; raise ``UnreachableError``. Nothing is lost to who is cancelled and reads again."""
        while not self._complete:
            self._go_on()
            await self._more()
        return self._taken()

    async def take(self) -> bytes:
        """Return what has come of the body, empty at its end; raise ``UnreachableError`` where it broke off."""
        while not self._parts:
            if self._complete:
                return b""
            await self._more()
        self._go_on()
        return self._taken()

    def leave(self) -> None:
        """Forget the answer of the moment, if there is one; unless another may follow, the connection ends."""
        if not self._asked:
            return
        self._asked = False
        self._parts.clear()
        if self._reusable():
            self._watch.until(self._loop.time() + KEEP_ALIVE_SECONDS)
            self._keep(self)
        else:
            self.transport.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _ALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a peer that speaks without being asked, or no HTTP, is left."""
        if self._complete:
            self.transport.abort()
            return
        if not self._headed:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"its answer is no HTTP: {type(error).__name__}")
        if self._head_size > _MOST_HEAD and not self._headed:
            self._fail(f"it sent a head of more than {_MOST_HEAD} bytes")
        if self._held > _MOST_HELD and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        if not self._complete:
            if self._held:
                self._silence = self._pause
            self._watch.until(self._loop.time() + self._silence)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer under way, well only where nothing but the end of the connection could tell its end."""
        if self._headed and exc is None and self._ends_with_connection():
            self._complete = True
        elif not self._complete:
            self._fail("it closed the connection" if exc is None else f"{type(exc).__name__}: {exc}")
        self._watch.close()
        self._wake()
        if not self.lost.done():
            self.lost.set_result(None)

    # ---- httptools

    def on_message_begin(self) -> None:
        """Begin a head: the only one, or another after one of status 1xx."""
        if self._headed:
            self._kept = False  # more than was asked for
            return
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are not read."""
        if not self._headed:
            add(self.headers, name, value)

    def on_headers_complete(self) -> None:
        """Take the status; what is informational is no answer yet."""
        if self._headed or self._parser.get_status_code() < 200:
            return
        self._headed = True
        self.status = self._parser.get_status_code()
        self._kept = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._headed and not self._complete:
            self._parts.append(body)
            self._held += len(body)

    def on_message_complete(self) -> None:
        """End the answer."""
        if self._headed:
            self._complete = True

    # ----

    def _reusable(self) -> bool:
        """Tell whether all was sent and received, and both sides keep the connection."""
        done = self._complete and self._kept and not self._paused and not self.transport.is_closing()
        return done and not self.transport.get_write_buffer_size()

    def _begin(self) -> None:
        self._parts: list[bytes] = []
        self._held = self._head_size = 0
        self._headed = self._complete = self._paused = False
        self._kept = True
        self._failure: str | None = None

    def _ends_with_connection(self) -> bool:
        """Tell whether nothing but the end of the connection can tell that of the answer."""
        sized = "content-length" in self.headers or "transfer-encoding" in self.headers
        return not sized and self.status not in _BODILESS

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._kept = False
        self.transport.abort()

    def _taken(self) -> bytes:
        taken = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return taken

    def _go_on(self) -> None:
        """Have a peer go on that was faster than its reader."""
        if self._paused:
            self._paused = False
            self._watch.until(self._loop.time() + self._silence)
            self.transport.resume_reading()

    async def _more(self) -> None:
        if self._failure is not None:
            raise UnreachableError(self._failure)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _late(self) -> None:
        """End a silence that is too long; while nobody takes what came, the peer is not to blame."""
        if not self._asked:
            self.transport.abort()
        elif self._paused:
            self._watch.until(self._loop.time() + self._silence)
        elif not self._complete:
            self._fail(f"it sent nothing for {self._silence:g} s")
            self._wake()
