"""A client that leaves frees the endpoint's memory and the worker's blocks, by their own account, and at once.

Nothing else does: what is computed for it does not come to its end, and leases last longer than the test waits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from runtime.handoff.contract import CHAT_COMPLETIONS
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.between import CERTIFICATE, between
from tests.runtime.gateway.conftest import GATEWAY_KEY
from tests.runtime.standins.cs3 import flow

CANCELLED = 'tandem_decode_requests_total{code="cancelled"}'
LONG = "alpha beta gamma delta epsilon " * 350
ENDPOINT = ("tandem_decode_reservations", "tandem_decode_reserved_bytes", "tandem_decode_active")


@dataclasses.dataclass(frozen=True)
class Sides:
    """Ask the gateway at ``url``, and the processes on both sides of it what they hold."""

    url: str
    flow: flow.Gateway

    async def held(self) -> tuple[float, ...]:
        """Return what both sides hold: reservations, bytes, answers, share of blocks."""
        own = [await self.flow.metric(name) for name in ENDPOINT]
        return (*own, await self.flow.worker_metric("kv_cache_usage_perc"))

    async def until(self, reached: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds; raise ``TimeoutError``."""
        async with asyncio.timeout(HUNG_SECONDS):
            while not await reached():
                await asyncio.sleep(0.01)

    async def free(self) -> bool:
        """Tell whether neither side holds anything."""
        return not any(await self.held())

    async def prefilling(self) -> bool:
        """Tell whether the worker computes a prompt."""
        return await self.flow.worker_metric("num_requests_running") == 1

    async def decoding(self) -> bool:
        """Tell whether the endpoint decodes an answer."""
        return await self.flow.metric("tandem_decode_active") == 1

    async def leave(self, reached: Callable[[], Awaitable[bool]], text: str, *, stream: bool) -> None:
        """Ask, close the connection once something holds, and wait until neither side holds anything."""
        place = urlsplit(self.url)
        _, writer = await asyncio.open_connection(place.hostname, place.port)
        asked: dict[str, Any] = {"model": flow.MODEL, "messages": [{"role": "user", "content": text}]}
        body = json.dumps(asked | {"stream": stream, "max_tokens": 2000, "temperature": 2, "seed": 1}).encode()
        head = f"POST {CHAT_COMPLETIONS} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {GATEWAY_KEY}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await self.until(reached)
        assert any(await self.held())
        writer.close()
        await self.until(self.free)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run a decode endpoint and a prefill worker, each a process; yield their URLs."""
    logs = tmp_path_factory.mktemp("logs")
    with (
        flow.emulator(logs / "emulator.log") as (_, decode),
        flow.prefill_worker(logs / "worker.log", certificate=CERTIFICATE) as (_, prefill),
    ):
        yield decode, prefill


@pytest.fixture
async def sides(processes: tuple[str, str]) -> AsyncIterator[Sides]:
    """Run the gateway between them on a real socket."""
    decode, prefill = processes
    trusted = aiohttp.TCPConnector(ssl=CERTIFICATE.client())
    async with between([decode], prefill) as url, aiohttp.ClientSession(connector=trusted) as http:
        yield Sides(url, flow.Gateway(http, decode, prefill))


@pytest.mark.parametrize("stream", [True, False])
async def test_who_leaves_during_prefill_ends_it(sides: Sides, stream: bool) -> None:
    before = await sides.flow.worker_metric("prompt_tokens_total")
    await sides.leave(sides.prefilling, LONG, stream=stream)
    assert await sides.flow.worker_metric("prompt_tokens_total") == before, "the prompt was computed to its end"


@pytest.mark.parametrize("stream", [True, False])
async def test_who_leaves_during_decode_ends_it(sides: Sides, stream: bool) -> None:
    before = await sides.flow.metric(CANCELLED)
    await sides.leave(sides.decoding, "Tell me a long story.", stream=stream)
    assert await sides.flow.metric(CANCELLED) == before + 1
