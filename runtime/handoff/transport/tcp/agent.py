"""Own one end of the TCP transport. A read that is given up stops writing at once."""

from __future__ import annotations

import asyncio
import logging
import secrets
import selectors
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from numpy.typing import NDArray

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.transport.agent import Pairs, Registration, merge
from runtime.handoff.transport.tcp import frames
from runtime.handoff.transport.tcp.channel import prepare
from runtime.handoff.transport.tcp.frames import Place, ProtocolError
from runtime.handoff.transport.tcp.memory import Memory
from runtime.handoff.transport.tcp.owner import Inbox, Serving
from runtime.handoff.transport.tcp.reader import Ask, Job, Reading

log = logging.getLogger(__name__)

CONNECTIONS: Final = 256
"""Peers that may be connected; one more is turned away."""
POLL_BYTES: Final = 16 * 2**20
"""What one poll moves at most, so that the loop that polls gets its turn: some 10 ms of loopback."""
EAGER_POLLS: Final = 20
POLL_SECONDS: Final = 0.0005
CLOSING_POLLS: Final = 20

Connection = Serving | Reading
Kind = TypeVar("Kind", Serving, Reading)


class TcpAgent:
    """Serve and read memory at ``host``, on a port that the system chooses. See ``Agent``."""

    def __init__(self, name: str, *, host: str = "127.0.0.1") -> None:
        self.name = name
        self._token = secrets.token_bytes(frames.TOKEN_BYTES)
        self._memory = Memory()
        self._inbox: Inbox = deque()
        self._remotes: dict[str, Reading] = {}
        self._selector = selectors.DefaultSelector()
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, 0), family=family)
        except OSError as error:
            raise HandoffError(Code.KV_TRANSFER, f"TCP transport cannot listen on {host}: {error}") from error
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        port = self._listener.getsockname()[1]
        self._place = Place(name=name, host=host, port=port, token=self._token.hex())
        self._closed = False

    @property
    def provider(self) -> str:
        """``tcp``."""
        return "tcp"

    @property
    def metadata(self) -> bytes:
        """See ``Agent``."""
        return self._place.encode()

    def register(self, *arrays: NDArray[Any]) -> Registration:
        """See ``Agent``."""
        registration = Registration(arrays)
        self._memory.add(registration)
        return registration

    def deregister(self, registration: Registration, settled: Callable[[], None] = lambda: None) -> None:
        """See ``Agent``."""
        self._memory.remove(registration)
        settled()

    def add_remote(self, metadata: bytes) -> str:
        """See ``Agent``."""
        place = Place.decode(metadata)
        known = self._remotes.get(place.name)
        if known is None or known.place != place or known.failed:
            if known:
                self.remove_remote(place.name)
            self._remotes[place.name] = self._watch(Reading(place, self.name))
        return place.name

    def remove_remote(self, remote: str) -> None:
        """See ``Agent``."""
        if reading := self._remotes.pop(remote, None):
            self._drop(reading, "the peer was removed")

    async def read(self, remote: str, pairs: Pairs, notification: bytes, *, timeout: float = 30.0) -> int:
        """See ``Agent``."""
        merged = merge(pairs)
        reading = self._remote(remote)
        job = Job([self._ask(part) for part in frames.cut(merged.tolist())], notification)
        try:
            reading.start(job)
            async with asyncio.timeout(timeout):
                await self._complete(job)
        except TimeoutError as error:
            raise HandoffError(Code.KV_TRANSFER, f"KV read from {remote} took over {timeout:g} s") from error
        finally:
            reading.give_up(job)
        if job.error:
            raise HandoffError(Code.KV_TRANSFER, f"KV cannot be read from {remote}: {job.error}")
        return int(merged[:, 2].sum())

    def notify(self, remote: str, message: bytes) -> None:
        """See ``Agent``."""
        if len(message) > frames.NOTICE_BYTES:
            raise ValueError(f"a notice has {len(message)} bytes, at most {frames.NOTICE_BYTES} are allowed")
        self._remote(remote).notify(message)
        self._progress()

    def notifications(self) -> list[tuple[str, bytes]]:
        """See ``Agent``."""
        self._progress()
        received = list(self._inbox)
        self._inbox.clear()
        return received

    def close(self) -> None:
        """See ``Agent``."""
        if self._closed:
            return
        self._closed = True
        for _ in range(CLOSING_POLLS):  # what was sent last leaves
            self._progress()
        for key in list(self._selector.get_map().values()):
            if key.data:
                self._drop(key.data, "this agent was closed")
        self._selector.close()
        self._listener.close()

    def _remote(self, remote: str) -> Reading:
        if remote not in self._remotes:
            raise HandoffError(Code.KV_TRANSFER, f"peer {remote} cannot be notified or read: it is unknown")
        return self._remotes[remote]

    def _ask(self, part: list[tuple[int, int, int]]) -> Ask:
        views = [self._memory.view(local, length) for local, _, length in part]
        found = [view for view in views if view is not None]
        if len(found) < len(part):
            raise HandoffError(Code.KV_TRANSFER, "KV cannot be read into memory that is not registered")
        return found, [(remote, length) for _, remote, length in part]

    async def _complete(self, job: Job) -> None:
        polls = 0
        self._progress()
        while not job.over:
            await asyncio.sleep(0 if polls < EAGER_POLLS else POLL_SECONDS)
            polls += 1
            self._progress()

    def _progress(self) -> None:
        """Move what can be moved now, up to a bound."""
        moved, before = 0, -1
        while before < moved < POLL_BYTES:
            before = moved
            for key in list(self._selector.get_map().values()):
                if key.data:
                    self._expect(key.data)
            for key, _ in self._selector.select(0):
                moved += self._step(key.data) if key.data else self._accept()

    def _step(self, connection: Connection) -> int:
        try:
            return connection.step()
        except (OSError, ProtocolError) as error:
            log.info("closed a TCP connection: %s", error)
            self._drop(connection, str(error))
            return 0

    def _accept(self) -> int:
        with suppress(BlockingIOError, ConnectionAbortedError):
            sock, _ = self._listener.accept()
            if len(self._selector.get_map()) > CONNECTIONS:
                sock.close()
                return 0
            prepare(sock)
            self._watch(Serving(sock, self._memory, self._inbox, self._token))
        return 1

    def _watch(self, connection: Kind) -> Kind:
        if connection.sock.fileno() >= 0:
            self._selector.register(connection.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        return connection

    def _expect(self, connection: Connection) -> None:
        receives, sends = connection.wants
        # a selector watches for something, always
        events = selectors.EVENT_READ * receives | selectors.EVENT_WRITE * sends or selectors.EVENT_READ
        if self._selector.get_key(connection.sock).events != events:
            self._selector.modify(connection.sock, events, connection)

    def _drop(self, connection: Connection, reason: str) -> None:
        if connection.sock.fileno() >= 0:
            self._selector.unregister(connection.sock)
        connection.fail(reason)
        connection.sock.close()
