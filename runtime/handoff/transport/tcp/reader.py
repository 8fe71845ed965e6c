"""Read one peer's memory over a connection to it, and send it notices."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.transport.tcp import frames
from runtime.handoff.transport.tcp.channel import Outgoing, exactly, prepare, receive
from runtime.handoff.transport.tcp.frames import HEADER, Kind, Place, ProtocolError

_SCRATCH: Final = memoryview(bytearray(256 * 1024))

Ask = tuple[list[memoryview], list[frames.Range]]
"""Where the bytes of one READ go, and where they are at the peer."""


class Job:
    """Follow one read; ``error`` says why it ended before it was ``done``."""

    def __init__(self, asks: Sequence[Ask], notice: bytes) -> None:
        self.asks = deque(asks)
        self.notice = notice
        self.unanswered = len(asks)
        self.error = ""
        self.given_up = False

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for."""
        return bool(self.error) or not self.unanswered


class Asked:
    """Hold one READ that is unanswered."""

    def __init__(self, job: Job, views: list[memoryview]) -> None:
        self.job = job
        self.nbytes = sum(map(len, views))
        self.into = deque(views)

    def divert(self) -> None:
        """Let what is still to come go nowhere: its memory belongs to others."""
        left = sum(map(len, self.into))
        self.into.clear()  # in place: it may be under way already
        while left:
            self.into.append(_SCRATCH[: min(left, len(_SCRATCH))])
            left -= len(self.into[-1])


class Reading:
    """Hold one connection to a peer, from the moment that it is begun."""

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.failed = ""
        self.sock = socket.socket(socket.AF_INET6 if ":" in place.host else socket.AF_INET)
        prepare(self.sock)
        self._connecting = True
        self._numbers = itertools.count(1)
        self._jobs: deque[Job] = deque()
        self._asked: dict[int, Asked] = {}
        self._out = Outgoing()
        self._out.put([frames.greeting(bytes.fromhex(place.token), name)])
        self._header, self._into = exactly(HEADER.size)
        self._answered: Asked | None = None
        self._reason: bytearray | None = None
        if (failure := self.sock.connect_ex((place.host, place.port))) not in (0, errno.EINPROGRESS):
            self.fail(os.strerror(failure))

    @property
    def wants(self) -> tuple[bool, bool]:
        """Whether to wait until it can receive, and until it can send."""
        return not self._connecting, bool(self._connecting or self._out)

    def start(self, job: Job) -> None:
        """Begin a read; raise ``HandoffError`` where the connection has failed."""
        self._require_open()
        if job.asks:
            self._jobs.append(job)
            self._ask()
        elif job.notice:
            self.notify(job.notice)

    def notify(self, message: bytes) -> None:
        """Send a notice, after what was asked before."""
        self._require_open()
        self._out.put([HEADER.pack(Kind.NOTICE, 0, len(message)), message])

    def give_up(self, job: Job) -> None:
        """Let nothing more be written into a job's memory, from now on."""
        job.given_up = True
        if job in self._jobs:
            self._jobs.remove(job)
        for asked in self._asked.values():
            if asked.job is job:
                asked.divert()

    def step(self) -> int:
        """Receive and send what can be now; return the bytes. Raises ``OSError`` or ``ProtocolError``: close it."""
        if self._connecting:
            self._connected()
        sent = self._out.send(self.sock) if self._out else 0
        return sent + self._receive()

    def fail(self, reason: str) -> None:
        """End all reads: the connection is of no more use."""
        self.failed = self.failed or reason
        for job in (*self._jobs, *(asked.job for asked in self._asked.values())):
            job.error = job.error or f"connection to {self.place.host}:{self.place.port} failed: {reason}"
        self._jobs.clear()
        self._asked.clear()
        self.sock.close()

    def _require_open(self) -> None:
        if self.failed:
            raise HandoffError(Code.KV_TRANSFER, f"peer {self.place.name} is disconnected: {self.failed}")

    def _connected(self) -> None:
        if failure := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(failure, os.strerror(failure))
        self._connecting = False

    def _ask(self) -> None:
        while self._jobs and len(self._asked) < frames.WINDOW:
            job = self._jobs[0]
            views, ranges = job.asks.popleft()
            number = next(self._numbers) % 2**32
            self._asked[number] = Asked(job, views)
            self._out.put([frames.read(number, ranges)])
            if not job.asks:
                self._jobs.popleft()

    def _receive(self) -> int:
        into = self._answered.into if self._answered else self._into
        got = receive(self.sock, into)
        if got and not into:
            self._advance()
        return got

    def _advance(self) -> None:
        """Take the next step once a header, a reason or all data have come."""
        if self._answered:
            self._finish()
        elif self._reason is not None:
            self._finish(self._reason.decode(errors="replace"))
        else:
            self._headed(*HEADER.unpack(bytes(self._header)))

    def _headed(self, kind: int, number: int, length: int) -> None:
        oldest = next(iter(self._asked), None)
        if number != oldest:
            raise ProtocolError(f"READ {number} was answered, {oldest} is due")
        asked = self._asked[number]
        if kind == Kind.DATA and length == asked.nbytes:
            self._answered = asked
        elif kind == Kind.REFUSED and 0 < length <= frames.REASON_BYTES:
            self._reason, self._into = exactly(length)
        else:
            raise ProtocolError(f"a frame of kind {kind} with {length} bytes came, {asked.nbytes} bytes are due")

    def _finish(self, refusal: str = "") -> None:
        job = self._asked.pop(next(iter(self._asked))).job
        self._answered = self._reason = None
        self._header, self._into = exactly(HEADER.size)
        job.unanswered -= 1
        if refusal:
            job.error = job.error or refusal
            self.give_up(job)
        if not job.unanswered and job.notice and not job.given_up:
            self.notify(job.notice)
        self._ask()
