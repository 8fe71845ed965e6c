"""Meet clients that speak no HTTP, or too slowly: aiohttp answers in plain text, and waits for a head without end."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from aiohttp import web

from runtime.gateway import log, refusal
from runtime.handoff.contract import Code, HandoffError

HEAD_SECONDS: Final = 30.0
"""How long a request's line and headers may take from their first byte."""
IDLE_SECONDS: Final = 630.0
"""How long a connection may lie idle: longer than in the load balancer, which so never sends into a closed one."""
BODY_SECONDS: Final = 120.0
"""How long a body may take: 4 MiB at 35 kB/s."""


class Connection(web.RequestHandler):
    """Bound the time of each head, and refuse in OpenAI's shape what is not HTTP; nothing of it is quoted or logged."""

    __slots__ = ("_head",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin without a head under way."""
        self._head: asyncio.TimerHandle | None = None
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the head."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Watch the time while what has come is less than a head."""
        super().data_received(data)
        if self._current_request is not None or self._messages or self._force_close:
            self._end_head()
        elif self._head is None:
            self._head = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._too_slow)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what cannot be read."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        log.write("unreadable", status=status, kind=type(exc).__name__)
        refused = HandoffError(Code.INVALID_REQUEST, f"the request is not HTTP as it must be: {type(exc).__name__}")
        answer = refusal.refused("/", refused, status)
        answer.force_close()
        return answer

    def _too_slow(self) -> None:
        if self.transport is None or self._current_request is not None or self._messages:
            return
        log.write("unreadable", status=408, kind="SlowHead")
        refused = HandoffError(Code.INVALID_REQUEST, f"the headers did not arrive within {HEAD_SECONDS:g} s")
        body = json.dumps(refused.body()).encode()
        head = f"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self.transport.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        self.force_close()

    def _end_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _Server(web.Server):
    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Run an application on such connections; a client that leaves ends its handler, and so what peers hold for it."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        super().__init__(app, handler_cancellation=True, access_log=None, keepalive_timeout=IDLE_SECONDS, **options)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        made.__class__ = _Server
        return made


async def read_body(request: web.Request) -> bytes:
    """Return a body; raise ``HandoffError`` (``invalid_request``) where it takes too long."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        message = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise HandoffError(Code.INVALID_REQUEST, message) from error
