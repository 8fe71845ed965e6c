"""Hold one connection of a client: requests are parsed as they come, and answered one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from runtime.gateway.http.message import Answer, Request
from runtime.gateway.http.request_parser import LimitError, RequestParser, UnreadableError
from runtime.gateway.http.stream import Stream
from runtime.gateway.http.watch import Watch

if TYPE_CHECKING:
    from runtime.gateway.http.server import Server

HEAD_SECONDS: Final = 30.0
"""How long a request's line and headers may take from their first byte."""
IDLE_SECONDS: Final = 630.0
"""How long a connection may lie idle: longer than in the load balancer, which so never sends into a closed one."""
_LINGER_SECONDS: Final = 5.0
"""How long is read on after an answer to half a request: to close at once would take the answer back."""
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_MOST_WAITING: Final = 8
"""Requests that may wait for the answer to an earlier one on the same connection."""


class ClientConnection(asyncio.Protocol):
    """Have requests handled by a server: a client that leaves ends the handler, and so what peers hold for it."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._parser = RequestParser(self._asked, self._hold)
        self._writable = asyncio.Event()
        self._writable.set()
        self._requests: deque[tuple[Request, bool]] = deque()
        self._came: asyncio.Future[None] | None = None
        self._watch = Watch(self._late)
        self._then: Callable[[], None] = self._too_slow
        self._ended = self._keep = self._answering = False
        self.task: asyncio.Task[None] | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or waits for that."""
        return self._answering or bool(self._requests)

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, with an idle connection, unless the server ends."""
        self.transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        if self._server.closing:  # its hands were being shaken as the end began: another task serves it
            self.transport.abort()
            return
        self._within(IDLE_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the handler under way: it frees what peers hold for it."""
        self._server.connections.discard(self)
        self._watch.close()
        self._writable.set()
        if self.task is not None:
            self.task.cancel()
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        """Have writers wait: the client reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is no HTTP is refused, unless an answer to an earlier request must come before."""
        if self._ended or self._parser.over:
            return
        begun = self._parser.in_head
        try:
            self._parser.feed(data)
        except UnreadableError as error:
            if self.busy:
                self.transport.close()
            else:
                self._refuse(400, str(error))
            return
        if self._parser.in_head and not begun and not self.busy:  # most heads come as one
            self._within(HEAD_SECONDS, self._too_slow)

    # ---- requests

    def _asked(self) -> None:
        """Have a request answered, its body still to come."""
        if not self.busy:
            self._watch.off()
        read = self._parser
        request = Request(read.method, read.target, read.headers, read.body, self._begin)
        if read.headers.get("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._requests.append((request, read.keeps_alive))
        if len(self._requests) > _MOST_WAITING:
            raise LimitError
        if self.task is None:
            self.task = self._loop.create_task(self._serve())
        elif self._came is not None and not self._came.done():
            self._came.set_result(None)

    def _hold(self, held: bool) -> None:
        if self.transport.is_closing():
            return
        if held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    # ---- answers

    async def _serve(self) -> None:
        """Answer each request in turn."""
        while not self.transport.is_closing():
            if not self._requests:
                self._came = self._loop.create_future()
                await self._came
            request, keep = self._requests.popleft()
            self._answering = True
            self._keep = keep
            try:
                answer = await self._server.handle(request)
            except ConnectionResetError:
                return
            if isinstance(answer, Answer):
                self._send(request, answer)
            self._answering = False
            if not self._kept or not request.body.complete:
                self._end(request)
                return
            if not self._requests:
                self._wait()

    def _wait(self) -> None:
        """Wait for the next request, of which some may have come already."""
        if self._parser.in_head:
            self._within(HEAD_SECONDS, self._too_slow)
        else:
            self._within(IDLE_SECONDS, self.transport.close)

    @property
    def _kept(self) -> bool:
        """Whether another request may follow."""
        return self._keep and not self._ended and not self._parser.over and not self._server.closing

    def _send(self, request: Request, answer: Answer) -> None:
        bodiless = answer.status in (204, 304)
        headers = answer.headers | request.labels
        if not bodiless:
            headers["Content-Length"] = str(len(answer.body))
        if not request.body.complete:
            self._keep = False
        head = self._head(answer.status, headers)
        self.transport.write(head if request.method == "HEAD" or bodiless else head + answer.body)

    def _begin(self, request: Request, headers: Mapping[str, str]) -> Stream:
        chunked = self._parser.chunked
        framed = {"Transfer-Encoding": "chunked"} if chunked else {}
        head = self._head(200, {**headers, **framed, **request.labels})
        return Stream(self.transport, self._writable, head, chunked=chunked)

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        close = "" if self._kept else "Connection: close\r\n"
        date = self._server.date()
        return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{lines}Date: {date}\r\n{close}\r\n".encode()

    def _end(self, request: Request) -> None:
        """Close; where half a request is under way, once the client had time to read the answer."""
        self._ended = True
        if request.body.complete:
            self.transport.close()
        else:
            self._linger()

    def _refuse(self, status: int, kind: str) -> None:
        self._ended = True
        answer = self._server.unreadable(status, kind)
        head = self._head(status, {**answer.headers, "Content-Length": str(len(answer.body))})
        self.transport.write(head + answer.body)
        self._linger()

    def _linger(self) -> None:
        if self.transport.is_closing():
            return
        self._within(_LINGER_SECONDS, self.transport.close)
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _too_slow(self) -> None:
        self._refuse(408, "SlowHead")

    def _within(self, seconds: float, then: Callable[[], None]) -> None:
        """Do something later unless something else is to be waited for by then."""
        self._then = then
        self._watch.until(self._loop.time() + seconds)

    def _late(self) -> None:
        self._then()
