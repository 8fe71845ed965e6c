"""Answer ``GET /ready`` on the worker's status port, also while vLLM compiles, hangs or drains."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from runtime.handoff.worker_status import READY, State

_REQUEST_SECONDS: Final = 5.0


@dataclass
class Status:
    """Hold the worker's state, to be changed by who knows it."""

    state: State = State.STARTING
    provider: str | None = None
    """What vLLM's KV transfer goes by, ``efa`` or ``other``; None until that is known."""

    def answer(self, request: bytes) -> bytes:
        """Return the whole HTTP answer to a request's first line."""
        if request.split(b" ")[:2] != [b"GET", READY.encode()]:
            return _http("404 Not Found", {"error": f"only GET {READY} is answered here"})
        code = "200 OK" if self.state is State.READY else "503 Service Unavailable"
        return _http(code, {"state": self.state.value, "provider": self.provider})


@asynccontextmanager
async def serving(status: Status, address: str, port: int) -> AsyncIterator[None]:
    """Answer as long as the context lasts; raise ``OSError`` where the port is taken."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                writer.write(status.answer(await reader.readline()))
                while await reader.readline() not in (b"\r\n", b""):
                    pass  # the headers: closing over unread bytes would reset the connection
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass  # whoever asked is gone, slow or no HTTP client, and will ask again
        finally:
            writer.close()

    server = await asyncio.start_server(reply, address, port)
    try:
        yield
    finally:
        server.close()


def _http(code: str, body: dict[str, str | None]) -> bytes:
    text = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {code}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + text
