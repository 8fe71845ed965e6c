"""Send requests to peers by aiohttp."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final

import aiohttp

from runtime.gateway.upstream import SILENCE_SECONDS, NotSentError, UnreachableError

_CONNECT_SECONDS: Final = 5.0
_KEEP_ALIVE_SECONDS: Final = 3.0  # below the 5 s of vLLM's server, so that it never closes a connection we just chose
_FAILURES: Final = (aiohttp.ClientError, TimeoutError)
_NOT_SENT: Final = (aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch, aiohttp.ConnectionTimeoutError)


class AiohttpClient:
    """Implement ``upstream.Client``; made and closed within one running loop."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            # a body is passed on byte by byte, so it must come as it is to be sent
            headers={"Accept-Encoding": "identity", "User-Agent": "tandem-gateway"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        silence: float = SILENCE_SECONDS,
        pin: str | None = None,
    ) -> AsyncIterator[AiohttpResponse]:
        """Send a request and yield the answer; see ``upstream.Client``."""
        data = io.BytesIO(body) if body else None  # which, unlike bytes, aiohttp sends in parts
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        try:
            response = await self._session.request(
                method, url, headers=headers, data=data, timeout=timeout, allow_redirects=False, ssl=_trust(pin)
            )
        except _NOT_SENT as error:
            raise NotSentError(_said(error)) from error
        except _FAILURES as error:
            raise _unreachable(error) from error
        try:
            yield AiohttpResponse(response)
        finally:
            response.release()  # closes the connection unless the body was read to its end


class AiohttpResponse:
    """Implement ``upstream.Response``."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        """Return the whole body."""
        try:
            return await self._response.read()
        except _FAILURES as error:
            raise _unreachable(error) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        received = self._response.content.iter_any()
        while True:
            try:
                chunk = await anext(received)
            except StopAsyncIteration:
                return
            except _FAILURES as error:
                raise _unreachable(error) from error
            yield chunk


@lru_cache(maxsize=4096)  # connections are kept by the very object that they were made with
def _pinned(pin: str) -> aiohttp.Fingerprint:
    return aiohttp.Fingerprint(bytes.fromhex(pin))


def _trust(pin: str | None) -> aiohttp.Fingerprint | bool:
    return True if pin is None else _pinned(pin)


def _unreachable(error: Exception) -> UnreachableError:
    return UnreachableError(_said(error))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
