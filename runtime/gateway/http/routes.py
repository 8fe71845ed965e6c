"""Find who answers a request."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

from runtime.gateway.http.message import Answer, HttpError, Request
from runtime.gateway.http.stream import Stream

_NAME: Final = re.compile(r"\{(\w+)(?::([^}]+))?\}")


Asked = TypeVar("Asked")
Handler = Callable[[Asked], Awaitable[Answer | Stream]]
"""Return an answer, or the stream by which it has answered."""


class Routes(Generic[Asked]):
    """Map methods and paths to handlers; ``{name}`` stands for one part of a path, ``{name:.+}`` for several."""

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, Handler[Asked]]] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield each method and path, its parts by their names alone."""
        return ((method, _NAME.sub(r"{\1}", path)) for path, handlers in self._handlers.items() for method in handlers)

    def add(self, method: str, path: str, handler: Handler[Asked]) -> None:
        """Add a route."""
        self._handlers.setdefault(path, {})[method] = handler
        if _NAME.search(path):
            self._patterns[path] = re.compile(_NAME.sub(lambda found: f"(?P<{found[1]}>{found[2] or '[^/]+'})", path))

    def find(self, request: Request) -> Handler[Asked]:
        """Return who answers, and name the path's parts; raise ``HttpError`` (404, 405). HEAD is asked as GET."""
        raw = request.raw_path
        handlers = self._handlers.get(raw) if raw not in self._patterns else None
        if handlers is None:
            handlers, request.names = self._matching(raw)
        method = "GET" if request.method == "HEAD" else request.method
        if method not in handlers:
            allowed = sorted({*handlers, *({"HEAD"} if "GET" in handlers else ())})
            raise HttpError(405, "Method Not Allowed", {"Allow": ",".join(allowed)})
        return handlers[method]

    def _matching(self, raw: str) -> tuple[dict[str, Handler[Asked]], Mapping[str, str]]:
        for path, pattern in self._patterns.items():
            if found := pattern.fullmatch(raw):
                return self._handlers[path], {name: unquote(part) for name, part in found.groupdict().items()}
        raise HttpError(404, "Not Found")
