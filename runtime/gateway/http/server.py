"""Listen for clients, and end in order."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Final

from runtime.gateway.http.client_connection import ClientConnection
from runtime.gateway.http.message import Answer, Request
from runtime.gateway.http.stream import Stream

_BACKLOG: Final = 1024
_SEND_SECONDS: Final = 2.0
"""How long the last bytes of answers may take to their clients, once all of them are written."""


class Server:
    """Have requests handled; ``unreadable`` returns the answer, by status and kind, to what is no HTTP."""

    def __init__(
        self,
        handle: Callable[[Request], Awaitable[Answer | Stream]],
        unreadable: Callable[[int, str], Answer],
    ) -> None:
        self.handle = handle
        self.unreadable = unreadable
        self.connections: set[ClientConnection] = set()
        self.closing = False
        self._listening: asyncio.Server | None = None
        self._date = (0, "")

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._listening is not None  # noqa: S101 - asked after the start
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen; raise ``OSError`` where the address cannot be listened on."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: ClientConnection(self), host, port, ssl=tls, backlog=_BACKLOG
        )

    async def stop(self, seconds: float) -> None:
        """Take no more clients, let requests under way go on for so long, then cancel them."""
        self.closing = True
        if self._listening is not None:
            self._listening.close()
        for each in tuple(self.connections):
            if not each.busy:
                each.transport.close()
        tasks = [each.task for each in self.connections if each.task is not None and each.busy]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
        sending = [each.lost for each in self.connections]
        if sending:
            await asyncio.wait(sending, timeout=_SEND_SECONDS)
        for each in tuple(self.connections):
            each.transport.abort()
            await each.lost
        if tasks:
            await asyncio.wait(tasks)

    def date(self) -> str:
        """Return the time as HTTP writes it, made once a second."""
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, formatdate(now, usegmt=True))
        return self._date[1]
