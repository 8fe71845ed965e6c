"""Answer ``GET /ready`` over TLS on the worker's status port, also while vLLM compiles, hangs or drains."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from runtime.handoff import worker_status
from runtime.handoff.worker_status import READY, Side, State
from runtime.prefill.keys import WorkerKeys

_REQUEST_SECONDS: Final = 5.0


class Status:
    """Hold the worker's state, to be changed by who knows it."""

    def __init__(self, state: State = State.STARTING, provider: str | None = None) -> None:
        self.provider = provider
        """What vLLM's KV transfer goes by, ``efa`` or ``other``; None until that is known."""
        self._state = state
        self._began = self._since = time.monotonic()

    @property
    def state(self) -> State:
        """What the worker does."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        if state is not self._state:
            self._state, self._since = state, time.monotonic()

    def told(self) -> dict[str, object]:
        """Return what anybody may know of it."""
        now = time.monotonic()
        return {
            worker_status.STATE: self._state.value,
            "provider": self.provider,
            worker_status.SECONDS: int(now - self._began),
            worker_status.STATE_SECONDS: int(now - self._since),
        }


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Hold what proves the worker to a gateway, and what it then tells it.

    ``api_key`` is vLLM's: made for one run, told to nobody but who proves to know one of the worker ``keys``.
    ``versions`` are those of the packages that matter to peers.
    """

    address: str
    digest: str
    api_key: str = field(repr=False)
    keys: WorkerKeys = field(repr=False)
    versions: Mapping[str, str]

    def told(self, authorization: str) -> dict[str, object]:
        """Return what is told on an ``Authorization`` header: nothing where it is absent or proves nothing."""
        if not authorization:
            return {}
        about = (authorization, self.keys.known, self.address, self.digest)
        if worker_status.asked_with_newer(*about):
            self.keys.miss()
        key = worker_status.asked_with(*about)
        if key is None:
            return {}
        proof = worker_status.proof(Side.WORKER, key, self.address, self.digest)
        return {
            worker_status.KEY: self.api_key,
            worker_status.VERSIONS: dict(self.versions),
            worker_status.PROOF: proof,
        }


@asynccontextmanager
async def serving(status: Status, identity: Identity, tls: ssl.SSLContext, port: int) -> AsyncIterator[None]:
    """Answer as long as the context lasts; raise ``OSError`` where the port is taken."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                request, authorization = await reader.readline(), ""
                # every header is read: closing over unread bytes would reset the connection
                while (line := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = line.decode("latin-1").partition(":")
                    authorization = value.strip() if name.lower() == "authorization" else authorization
                writer.write(_answer(status, identity, request, authorization))
                writer.close()
                await writer.wait_closed()  # with TLS, once the other side has left as well
        except (TimeoutError, OSError, ValueError):
            pass  # whoever asked is gone, slow or no HTTP client, and will ask again
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies.add(task := asyncio.create_task(reply(reader, writer)))
        task.add_done_callback(replies.discard)

    replies: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(connected, identity.address, port, ssl=tls)
    try:
        yield
    finally:
        server.close()
        for task in tuple(replies):
            task.cancel()
        await asyncio.gather(*replies, return_exceptions=True)


def _answer(status: Status, identity: Identity, request: bytes, authorization: str) -> bytes:
    """Return the whole HTTP answer to a request's first line and its ``Authorization`` header, empty for none."""
    if request.split(b" ")[:2] != [b"GET", READY.encode()]:
        return _http("404 Not Found", {"error": f"only GET {READY} is answered here"})
    code = "200 OK" if status.state is State.READY else "503 Service Unavailable"
    return _http(code, {**status.told(), **identity.told(authorization)})


def _http(code: str, body: dict[str, object]) -> bytes:
    text = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + text
