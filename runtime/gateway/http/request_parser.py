"""Parse requests as they come, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httptools

from runtime.gateway.http.headers import add
from runtime.gateway.http.message import Body, HttpError

_MOST_LINE: Final = 8190
_MOST_HEADERS: Final = 128
_MOST_HEAD: Final = 2**17


class UnreadableError(Exception):
    """Tell of which kind a head is that is no HTTP as it must be; it quotes nothing."""


class LimitError(Exception):
    """Tell that a head has more than is taken."""


class RequestParser:
    """Call ``came`` at a head's end, with the body's rest yet to be fed; ``in_head`` tells whether half of one came.

    ``hold`` has the sender of the body of the moment wait, or go on. After ``over`` nothing more is to be fed. The
    methods that begin with ``on_`` are httptools'.
    """

    def __init__(self, came: Callable[[], None], hold: Callable[[bool], None]) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._came, self._hold = came, hold
        self._head_size = self._header_count = self._header_size = 0
        self._target = b""
        self.in_head = self.over = False
        self.headers: dict[str, str] = {}
        self.body = Body(hold)

    @property
    def method(self) -> str:
        """The method of the last head."""
        return str(self._parser.get_method().decode("ascii"))

    @property
    def target(self) -> str:
        """What the last head asks for, as it came."""
        return self._target.decode("latin-1")

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may follow on the connection."""
        return bool(self._parser.should_keep_alive())

    @property
    def chunked(self) -> bool:
        """Whether the client knows chunks."""
        return str(self._parser.get_http_version()) != "1.0"

    def feed(self, data: bytes) -> None:
        """Take what came; raise ``UnreadableError`` for a head that is none. A body that is none fails by itself."""
        self._head_size += len(data)
        kind = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.over = True  # what was asked is answered in HTTP/1.1, what follows is another protocol
        except httptools.HttpParserError as error:
            kind = type(error.__context__ or error).__name__
        if self.in_head and self._head_size > _MOST_HEAD:
            kind = LimitError.__name__
        if kind is None:
            return
        self.over = True
        if self.in_head or self.body.complete:
            raise UnreadableError(kind)
        self.body.fail(HttpError(400, f"the body is not HTTP as it must be: {kind}"))

    def on_message_begin(self) -> None:
        """Begin a head."""
        self.in_head = True
        self._head_size = self._header_count = self._header_size = 0
        self._target = b""
        self.headers = {}

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._target += url
        if len(self._target) > _MOST_LINE:
            raise LimitError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a body are not read."""
        size = len(name) + len(value)
        self._header_count += 1
        self._header_size += size
        if size > _MOST_LINE or self._header_count > _MOST_HEADERS or self._header_size > _MOST_HEAD:
            raise LimitError
        if self.in_head:
            add(self.headers, name, value)

    def on_headers_complete(self) -> None:
        """End the head."""
        self.in_head = False
        self.body = Body(self._hold)
        self._came()

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self.body.push(part)

    def on_message_complete(self) -> None:
        """End the request."""
        self.body.end()
