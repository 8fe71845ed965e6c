"""Requests as they come, and answers that are whole before they go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import msgspec

if TYPE_CHECKING:
    from runtime.gateway.http.stream import Stream

_UNASKED: Final = 2**17
"""How much of a body is taken before anybody wants it; then its sender has to wait."""


class HttpError(Exception):
    """Tell why a request cannot be handled, by status, reason and headers."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}


class Answer(msgspec.Struct):
    """Hold an answer: its length, and what belongs to the connection, is added when it goes."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=dict)


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer of JSON."""
    return Answer(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})


class Body:
    """Hold what came of a request's body; ``hold`` has its sender wait, or go on."""

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self.complete = False
        self._hold = hold
        self._held = False
        self._parts: list[bytes] = []
        self._size = 0
        self._most: int | None = None
        self._failure: HttpError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self, most: int) -> bytes:
        """Return all of it; raise ``HttpError`` where that is more than ``most`` bytes, or no HTTP."""
        self._most = most
        while not self.complete and self._failure is None and self._size <= most:
            self._let_go()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._size > most:
            raise HttpError(413, f"the body has more than {most} bytes")
        if self._failure is not None:
            raise self._failure
        return b"".join(self._parts)

    def push(self, part: bytes) -> None:
        """Take a part; of a body that is too large no more is kept."""
        self._size += len(part)
        if self._most is None or self._size <= self._most:
            self._parts.append(part)
        if self._size > (_UNASKED if self._most is None else self._most):
            self._held = True
            self._hold(True)
            self._wake()

    def end(self) -> None:
        """Note that all of it came."""
        self.complete = True
        self._wake()

    def fail(self, why: HttpError) -> None:
        """Note that the rest cannot be read."""
        self._failure = why
        self._wake()

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._hold(False)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Request(msgspec.Struct, eq=False):
    """Hold a request; ``target`` is as it came, ``raw_path`` without its query, ``path`` is that decoded, both derived.

    ``headers`` are by names in lower case, ``labels`` are headers for whatever it is answered with; ``names`` are the
    parts of its path that the route names.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: Body
    begin: Callable[[Request, Mapping[str, str]], Stream]
    """Begin to answer by a stream of status 200 with these headers."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    names: Mapping[str, str] = msgspec.field(default_factory=dict)
    raw_path: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        self.raw_path = self.target.partition("?")[0]
        self.path = unquote(self.raw_path)

    def stream(self, headers: Mapping[str, str]) -> Stream:
        """Begin an answer that is written as it comes."""
        return self.begin(self, headers)
