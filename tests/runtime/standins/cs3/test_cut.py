"""A connection that is cut, or falls silent, between a real worker and a real emulator: TCP through a relay."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from runtime.handoff import fields, settings, sidechannel
from runtime.handoff.sidechannel import NixlHandshakePayload
from runtime.handoff.transport.choose import Transport
from tests.patience import HUNG_SECONDS
from tests.ports import free_port
from tests.runtime.standins.cs3.flow import Gateway, emulator, prefill_worker, signed

pytestmark = pytest.mark.rehearsal

WORKER_HOST = "127.77.0.7"
RELAY_HOST = "127.77.0.8"
KV_BYTES = 34 * 23_040


@dataclass
class Relay:
    """Pass bytes on, until as many have come from the worker as ``plan`` says of this connection; then cut or hush."""

    port: int
    plan: list[int]
    hush: bool = False
    cuts: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a reader's connection with one to the worker."""
        there, back = await asyncio.open_connection(WORKER_HOST, self.port)
        allowed = self.plan.pop(0) if self.plan else None
        self.writers += [writer, back]
        self.tasks += [
            asyncio.create_task(self._pass(reader, back, None)),
            asyncio.create_task(self._pass(there, writer, allowed)),
        ]

    async def close(self) -> None:
        """End all connections."""
        for task in self.tasks:
            task.cancel()
        for writer in self.writers:
            writer.transport.abort()
        closing = [writer.wait_closed() for writer in self.writers]
        await asyncio.gather(*self.tasks, *closing, return_exceptions=True)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, allowed: int | None) -> None:
        with suppress(ConnectionError):
            while data := await source.read(4096 if allowed is None else min(4096, allowed)):
                sink.write(data)
                await sink.drain()
                allowed = None if allowed is None else allowed - len(data)
                if allowed == 0:
                    self.cuts += 1
                    if self.hush:
                        await asyncio.Event().wait()
                    sink.transport.abort()
        sink.transport.abort()


@asynccontextmanager
async def relayed(params: dict[str, Any], plan: list[int], *, hush: bool = False) -> AsyncIterator[Relay]:
    """Stand between a worker and its readers, in its handshake as well; ``params`` are changed to lead here."""
    found = await sidechannel.fetch(params[fields.REMOTE_HOST], params[fields.REMOTE_PORT], timeout=HUNG_SECONDS)
    place = json.loads(found.metadata.agent_metadata)
    relay = Relay(place["port"], plan, hush)
    server = await asyncio.start_server(relay.connected, RELAY_HOST, 0)
    # another name: a reader that knew the worker by both ways would take one for the other
    place |= {"name": f"relay-{uuid.uuid4()}", "host": RELAY_HOST, "port": server.sockets[0].getsockname()[1]}
    metadata = msgspec.structs.replace(found.metadata, agent_metadata=json.dumps(place).encode())
    payload = NixlHandshakePayload(
        compatibility_hash=found.compatibility_hash, agent_metadata_bytes=msgspec.msgpack.encode(metadata)
    )
    params |= {fields.REMOTE_HOST: RELAY_HOST, fields.REMOTE_PORT: free_port(RELAY_HOST)}
    async with server, sidechannel.listener(RELAY_HOST, params[fields.REMOTE_PORT]) as channel:
        serving = asyncio.create_task(sidechannel.serve(channel, {(0, 0): payload}))
        try:
            yield relay
        finally:
            serving.cancel()
            await relay.close()


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield an emulator and a worker that speak TCP."""
    logs: Path = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(settings.TRANSPORT, Transport.TCP)
        with (
            emulator(logs / "emulator.log") as (_, decode),
            prefill_worker(logs / "worker.log", WORKER_HOST) as (_, prefill),
        ):
            yield decode, prefill


@pytest.fixture
def pair(urls: tuple[str, str], http: aiohttp.ClientSession) -> Gateway:
    return Gateway(http, *urls)


# before the first byte, within the head of the answer, at its end, half-way, before the last byte
@pytest.mark.parametrize("after", [1, 8, 9, KV_BYTES // 2, KV_BYTES + 8])
async def test_a_cut_connection_costs_one_answer_and_nothing_that_is_held(pair: Gateway, after: int) -> None:
    params = await pair.prefill()
    assert params[fields.REMOTE_NUM_TOKENS] * 23_040 == KV_BYTES
    async with relayed(params, [after]) as relay:
        answer = await pair.decode(signed(params, await pair.reserve()))
        assert (answer.code, answer.body["error"]["phase"]) == ("kv_transfer", "transfer")
        assert relay.cuts == 1
        await pair.until_free()  # the worker was told over a new connection
    right = await pair.decode(signed(await pair.prefill(), await pair.reserve()))
    assert right.status == 200


async def test_a_connection_that_falls_silent_ends_in_time(pair: Gateway) -> None:
    params = await pair.prefill()
    async with relayed(params, [KV_BYTES // 2], hush=True):
        answer = await pair.decode(signed(params, await pair.reserve(), lease_ms=8000))
        assert (answer.code, answer.body["error"]["phase"]) == ("kv_transfer", "transfer")
        await pair.until_free()


async def test_a_relay_that_cuts_nothing_changes_nothing(pair: Gateway) -> None:
    params = await pair.prefill()
    async with relayed(params, []) as relay:
        answer = await pair.decode(signed(params, await pair.reserve()))
        assert answer.status == 200
        assert not relay.cuts
        await pair.until_free()
