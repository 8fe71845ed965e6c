"""Measure how soon after prefill a decoder owns all KV: streamed layer by layer, and read when prefill has ended.

The real engine prefills 2,000 tokens of SmolLM2-135M in one process; the emulator's own reader takes them in another.
The time counts from the end of the engine's prefill, which is one attention and one MLP after its last layer's KV was
written, until all KV is read and its digests agree; both processes' monotonic clock is the machine's. What an HTTP
answer, a gateway and a decode request add is not in it.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from runtime.handoff import fields
from runtime.handoff.acceptance import Life
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import digest
from runtime.handoff.notification import ReadDone
from runtime.handoff.reservation import Reservations
from runtime.handoff.seal import Seal
from runtime.handoff.transport.choose import asked, start
from runtime.standins.cs3 import pull
from runtime.standins.cs3.landing import land
from runtime.standins.cs3.link import Address, Link
from runtime.standins.cs3.streams import Streams
from runtime.standins.engine.engine import Engine
from runtime.standins.vllm import kv_transfer_config
from runtime.standins.vllm.handover import Handover
from runtime.standins.vllm.kv_pool import KvPool
from runtime.standins.vllm.metrics import Metrics
from runtime.standins.vllm.producer import Producer

TOKENS: Final = 2_000
BLOCK: Final = 32
HOST: Final = "127.0.0.1"
BLOCKS: Final = tuple(range(1, -(-TOKENS // BLOCK) + 1))


def produce(asked_for: Any, port: int) -> None:
    """Prefill whenever it is asked for, with an invitation or none, until None comes."""
    asyncio.run(_produce(asked_for, port))


async def _produce(asked_for: Any, port: int) -> None:
    engine = Engine.load()
    pool = KvPool(engine.geometry, num_blocks=len(BLOCKS) + 1, block_size=BLOCK)
    config = kv_transfer_config.parse(json.dumps({"kv_connector": "NixlConnector", "kv_role": "kv_producer"}))
    producer = Producer(config, pool, (HOST, port), free=lambda _: None, metrics=Metrics("bench"))
    async with producer.running("benchmark"):
        asked_for.send((0.0, {}))
        while (invitation := await asyncio.to_thread(asked_for.recv)) is not None:
            request = uuid.uuid4().hex
            cache = engine.new_cache(TOKENS)
            with producer.streaming(request, BLOCKS, TOKENS, invitation or None) as telling:
                handover = Handover(pool, BLOCKS, cache, telling)
                ended = await asyncio.to_thread(_prefill, engine, cache, handover)
                seal = handover.seal(producer.generation)
                asked_for.send((ended, producer.lease(request, BLOCKS, TOKENS, seal)))


def _prefill(engine: Engine, cache: Any, handover: Handover) -> float:
    engine.prefill([number % 1000 for number in range(TOKENS)], cache, wrote=handover.wrote)
    return time.monotonic()


class Decoder:
    """Take KV both ways."""

    def __init__(self, engine: Engine, reservations: Reservations, link: Link, worker: Any) -> None:
        self._engine, self._reservations, self._link, self._worker = engine, reservations, link, worker
        self.streams = Streams(engine, reservations, link)

    async def streamed(self) -> float:
        """Return the seconds from prefill's end to all KV, which was read as it was computed."""
        held = self._reservations.grant(
            TOKENS * self._engine.geometry.kv_bytes_per_token,
            request_id=uuid.uuid4().hex,
            attempt=1,
            max_tokens=1,
            now=time.monotonic(),
        )
        invitation = self.streams.invite(held)
        self._worker.send((invitation["id"], invitation["agent"]))
        ended, params = await _received(self._worker)
        inflow = self.streams._inflows.pop(invitation["id"])
        await inflow.finish(seconds=10)
        digest.compare(inflow._digester.digests(), _seal(params))
        seconds = time.monotonic() - ended
        inflow.drop()
        self._reservations.withdraw(held.reservation_id, now=time.monotonic())
        await self._done(params)
        return seconds

    async def read_afterwards(self) -> float:
        """Return the seconds from prefill's end to all KV, which was read then."""
        self._worker.send(())
        ended, params = await _received(self._worker)
        peer = await self._link.connect(_address(params))
        geometry, cache = self._engine.geometry, self._engine.new_cache(TOKENS + 1)
        worker = pull.describe(peer.metadata, geometry)
        landing = land(peer.metadata, worker, list(BLOCKS), TOKENS, geometry, cache)
        with self._link.receiving(landing.memory, lambda: None):
            await self._link.read(peer, landing.pairs, seconds=10)
        digest.verify(landing.received(), _seal(params))
        seconds = time.monotonic() - ended
        await self._done(params)
        return seconds

    async def _done(self, params: dict[str, Any]) -> None:
        await self._link.notify(_address(params), ReadDone(params[fields.REMOTE_REQUEST_ID], readers=1).message())


@asynccontextmanager
async def _decoder(worker: Any) -> AsyncIterator[Decoder]:
    engine = Engine.load()
    agent = start(asked(os.environ), f"bench-{uuid.uuid4()}", host=HOST)
    decoder = Decoder(engine, Reservations(memory=2**32, ttl=60), Link(agent), worker)
    poll = asyncio.create_task(decoder._link.poll(decoder.streams.heard, decoder.streams.tend))
    try:
        yield decoder
    finally:
        poll.cancel()
        agent.close()


async def _received(worker: Any) -> tuple[float, dict[str, Any]]:
    """Wait for the worker as an event loop waits for a socket."""
    came = asyncio.Event()
    asyncio.get_running_loop().add_reader(worker.fileno(), came.set)
    try:
        await came.wait()
    finally:
        asyncio.get_running_loop().remove_reader(worker.fileno())
    ended, params = worker.recv()
    return ended, params


def _address(params: dict[str, Any]) -> Address:
    life = Life(params[fields.REMOTE_ENGINE_ID], params[fields.TANDEM][fields.SEAL]["generation"])
    return Address(host=params[fields.REMOTE_HOST], port=params[fields.REMOTE_PORT], life=life)


def _seal(params: dict[str, Any]) -> Seal:
    seal = Seal.from_params(params[fields.TANDEM][fields.SEAL], num_tokens=TOKENS)
    if seal is None:
        raise HandoffError(Code.KV_INCOMPLETE, "the worker sealed nothing")
    return seal


def measure(rounds: int, say: Callable[[str], None]) -> None:
    """Print medians of both ways, taken in turns."""
    os.environ.setdefault("UCX_NET_DEVICES", "lo")
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=produce, args=(theirs, port))
    process.start()
    try:
        streamed, afterwards = asyncio.run(_rounds(ours, rounds))
    finally:
        ours.send(None)
        process.join()
    for name, seconds in (("streamed", streamed), ("read afterwards", afterwards)):
        spread = f"{min(seconds) * 1000:.2f} to {max(seconds) * 1000:.2f}"
        say(f"prefill's end to all KV, {name}: {statistics.median(seconds) * 1000:.2f} ms ({spread})")
    say(f"goal 5 ms for {TOKENS} tokens; {rounds} rounds each")


async def _rounds(worker: Any, rounds: int) -> tuple[list[float], list[float]]:
    await _received(worker)
    async with _decoder(worker) as decoder:
        await decoder.streamed()  # hands are shaken, memory is touched
        pairs = [(await decoder.streamed(), await decoder.read_afterwards()) for _ in range(rounds)]
    return [streamed for streamed, _ in pairs], [afterwards for _, afterwards in pairs]


if __name__ == "__main__":
    measure(5, print)
