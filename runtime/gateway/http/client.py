"""Send requests to peers over connections that are kept; see ``upstream.Client``."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from runtime.gateway.http.dial import dial
from runtime.gateway.http.peer_connection import PeerConnection
from runtime.gateway.peers.upstream import SILENCE_SECONDS, NotSentError
from runtime.handoff import certificate

_CONNECT_SECONDS: Final = 5.0
# a body is passed on byte by byte, so it must come as it is to be sent
_ALWAYS: Final = ("Accept-Encoding: identity\r\n", "User-Agent: tandem-gateway\r\n")


class Origin(NamedTuple):
    """Name a server: connections to it are alike."""

    secure: bool
    host: str
    port: int
    pin: str | None


class HttpClient:
    """Made and closed within one running loop; ``trust`` is for peers without a pin, by default the system's."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        self._trust = trust or ssl.create_default_context()
        self._pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # whose certificate is compared, not verified
        self._pinned.check_hostname = False
        self._pinned.verify_mode = ssl.CERT_NONE
        self._open: set[PeerConnection] = set()
        self._idle: dict[Origin, dict[PeerConnection, None]] = {}

    async def close(self) -> None:
        """Close every connection."""
        left = tuple(self._open)
        for each in left:
            each.transport.abort()
        for each in left:
            await each.lost

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        silence: float = SILENCE_SECONDS,
        pause: float = SILENCE_SECONDS,
        pin: str | None = None,
    ) -> PeerConnection:
        """Send a request and return what its answer comes by; see ``upstream.Client``."""
        origin, begun = _begun(method, url, pin)
        request = _written(begun, headers, body, sized=bool(body) or method == "POST")
        connection = self._kept(origin) or await self._connect(origin)
        connection.ask(request, silence, pause)
        return connection

    def _kept(self, origin: Origin) -> PeerConnection | None:
        """Return the connection that was used last, which is the likeliest to be alive."""
        idle = self._idle.get(origin)
        while idle:
            connection, _ = idle.popitem()
            if not connection.transport.is_closing():
                return connection
        return None

    def _keep(self, origin: Origin, connection: PeerConnection) -> None:
        self._idle.setdefault(origin, {})[connection] = None

    def _forget(self, origin: Origin, connection: PeerConnection) -> None:
        self._open.discard(connection)
        if idle := self._idle.get(origin):
            idle.pop(connection, None)
        if idle is not None and not idle:
            del self._idle[origin]

    async def _connect(self, origin: Origin) -> PeerConnection:
        tls = (self._pinned if origin.pin else self._trust) if origin.secure else None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                transport, connection = await asyncio.get_running_loop().create_connection(
                    lambda: PeerConnection(partial(self._keep, origin)),
                    sock=await dial(origin.host, origin.port),
                    ssl=tls,
                    server_hostname=origin.host if tls else None,
                )
        except TimeoutError as error:
            raise NotSentError(f"no connection within {_CONNECT_SECONDS:g} s") from error
        except (OSError, ssl.CertificateError) as error:
            raise NotSentError(f"{type(error).__name__}: {error}") from error
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._forget(origin, connection))
        if origin.secure and origin.pin and _digest(transport) != origin.pin:
            transport.abort()
            raise NotSentError("it shows another certificate than the one that is trusted")
        return connection


@lru_cache(maxsize=1024)
def _begun(method: str, url: str, pin: str | None) -> tuple[Origin, str]:
    """Return whom to ask, and the beginning of the head; raise ``ValueError`` where it cannot be written."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    origin = Origin(secure, parts.hostname or "", parts.port or (443 if secure else 80), pin)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return origin, _checked("".join([f"{method} {path} HTTP/1.1\r\n", f"Host: {parts.netloc}\r\n", *_ALWAYS]), 4)


def _written(begun: str, headers: Mapping[str, str], body: bytes, *, sized: bool) -> bytes:
    """Return a request's bytes; raise ``ValueError`` where it cannot be written."""
    given = _checked("".join([f"{name}: {value}\r\n" for name, value in headers.items()]), len(headers))
    size = f"Content-Length: {len(body)}\r\n" if sized else ""
    return f"{begun}{given}{size}\r\n".encode() + body


def _checked(head: str, lines: int) -> str:
    """Return a head, or a part of one, of so many lines; raise ``ValueError`` where there are more."""
    if not lines == head.count("\n") == head.count("\r") or "\0" in head:
        raise ValueError("a header's value, or the path, holds an end of line: a key may be written wrongly")
    return head


def _digest(transport: asyncio.BaseTransport) -> str:
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    return certificate.digest(tls.getpeercert(binary_form=True) or b"")
