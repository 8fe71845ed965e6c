"""Start the stand-in in this process, with the real engine, NIXL and sockets."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.handoff import fields
from runtime.handoff.lease import Leases
from runtime.handoff.sidechannel import Handshake, fetch
from runtime.handoff.transport.agent import Agent
from runtime.handoff.transport.nixl import NixlAgent
from runtime.standins.engine.engine import Engine
from runtime.standins.vllm import producer
from runtime.standins.vllm.flags import read
from runtime.standins.vllm.serving import bind, serving
from tests.patience import HUNG_SECONDS, LONG_SECONDS
from tests.ports import free_port

HOST = "127.0.0.1"
KEY = "worker-key"
PREFILL = {"temperature": 0, "max_tokens": 1, fields.KV_TRANSFER_PARAMS: dict(fields.PREFILL_REQUEST)}


def kv_config(lease: int = LONG_SECONDS, role: str = "kv_producer", **more: object) -> str:
    extra = {"backends": ["UCX"], "kv_lease_duration": lease}
    config = {"kv_connector": "NixlConnector", "kv_role": role, "kv_connector_extra_config": extra, **more}
    return f"--kv-transfer-config={json.dumps(config)}"


def environment(side_channel: int) -> dict[str, str]:
    return {
        "VLLM_NIXL_SIDE_CHANNEL_HOST": HOST,
        "VLLM_NIXL_SIDE_CHANNEL_PORT": str(side_channel),
        "VLLM_API_KEY": KEY,
    }


@dataclass(frozen=True)
class Client:
    """Speak to a running stand-in."""

    http: aiohttp.ClientSession

    async def post(self, body: object, *, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
        """Return the status and the JSON that a body, or raw bytes, is answered with."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.post(path, data=raw, headers=headers) as response:
            return response.status, await response.json()

    async def prefill(self, prompt: list[int], **headers: str) -> dict[str, Any]:
        """Prefill a prompt of token ids and return the ``kv_transfer_params``."""
        status, body = await self.post({"prompt": prompt} | PREFILL, path="/v1/completions", **headers)
        assert status == 200, body
        params: dict[str, Any] = body[fields.KV_TRANSFER_PARAMS]
        return params

    async def metric(self, name: str) -> float:
        """Return the value of an unlabelled-but-for-the-model metric."""
        async with self.http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        return float(next(line for line in lines if line.startswith(f"vllm:{name}{{")).rsplit(" ", 1)[1])

    async def until(self, name: str, value: float) -> None:
        """Wait until a metric has a value; leases last longer than this waits."""
        async with asyncio.timeout(HUNG_SECONDS):
            while await self.metric(name) != value:
                await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCX_NET_DEVICES", "lo")


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.load()


Start = Callable[..., Any]


@pytest.fixture
def start(engine: Engine) -> Start:
    """Return a context manager that serves with more flags and yields a client."""

    @asynccontextmanager
    async def started(*flags: str, lease: int = LONG_SECONDS, model: str = "org/model") -> AsyncIterator[Client]:
        port = free_port()
        command = ["serve", model, f"--host={HOST}", f"--port={port}", kv_config(lease), *flags]
        serve = read(command, environment(free_port()))
        headers = {"Authorization": f"Bearer {KEY}"}
        with ThreadPoolExecutor(2) as threads:  # of its own, as a server has: none waits for another's prompts
            own = Engine(engine._weights, engine.tokenizer, threads)
            async with (
                serving(serve, own, bind(serve)),
                aiohttp.ClientSession(f"http://{HOST}:{port}", headers=headers) as http,
            ):
                yield Client(http)

    return started


@pytest.fixture
async def client(start: Start) -> AsyncIterator[Client]:
    async with start() as client:
        yield client


@dataclass(slots=True)
class Heartbeats:
    """Hold the time by which leases run, and whether a heartbeat was ``heard`` and has extended them."""

    now: float = 0.0
    heard: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
def heartbeats(monkeypatch: pytest.MonkeyPatch) -> Heartbeats:
    """Return the clock of all leases, to be moved by hand."""
    told = Heartbeats()

    class Observed(Leases):
        def extend(self, request_ids: Iterable[str], *, now: float) -> None:
            super().extend(request_ids, now=now)
            told.heard.set()

    monkeypatch.setattr(producer, "time", SimpleNamespace(monotonic=lambda: told.now))
    monkeypatch.setattr(producer, "Leases", Observed)
    return told


@pytest.fixture
def reader() -> Iterator[Agent]:
    agent = NixlAgent(f"reader-{uuid.uuid4()}")
    yield agent
    agent.close()


async def handshake(params: dict[str, Any]) -> Handshake:
    """Ask a worker where the KV of its answer lies."""
    return await fetch(params[fields.REMOTE_HOST], params[fields.REMOTE_PORT], timeout=HUNG_SECONDS)


async def read_kv(reader: Agent, params: dict[str, Any], engine: Engine, readers: int = 1) -> NDArray[np.float16]:
    """Read a request's KV as a decoder does and return it as ``[layers, 2, tokens, kv_heads, head_dim]``."""
    metadata = (await handshake(params)).metadata
    assert metadata.engine_id == params[fields.REMOTE_ENGINE_ID]
    (blocks,) = params[fields.REMOTE_BLOCK_IDS]
    sizes = engine.geometry
    shape = (len(metadata.block_lens), len(blocks), 2, metadata.block_size, sizes.kv_heads, sizes.head_dim)
    received = np.zeros(shape, np.float16)
    registration = reader.register(received)
    remote = reader.add_remote(metadata.agent_metadata)
    pairs = [
        (received[layer, index].ctypes.data, base + block * stride, length)
        for layer, (base, stride, length) in enumerate(
            zip(metadata.kv_caches_base_addr, metadata.block_strides, metadata.block_lens, strict=True)
        )
        for index, block in enumerate(blocks)
    ]
    await reader.read(remote, pairs, f"{params[fields.REMOTE_REQUEST_ID]}:{readers}".encode(), timeout=HUNG_SECONDS)
    reader.deregister(registration)
    tokens = params[fields.REMOTE_NUM_TOKENS]
    return received.swapaxes(1, 2).reshape(shape[0], 2, -1, *shape[4:])[:, :, :tokens]
