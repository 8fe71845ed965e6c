"""Measure how soon after prefill a decoder owns all KV: streamed layer by layer, and read when prefill has ended.

The real engine prefills 2,000 tokens of SmolLM2-135M in one process; the emulator imports them in another.
The time counts from the end of the engine's prefill, which is one attention and one MLP after its last layer's KV was
written, until all KV is read, its digests agree and it may be decoded; both processes' monotonic clock is the
machine's. What an HTTP answer, a gateway and a decode request add is not in it.
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
from runtime.handoff.acceptance import Accepted
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.reservation import Reservation, Reservations
from runtime.handoff.seal import Seal
from runtime.handoff.ticket import Ticket
from runtime.handoff.transport.choose import asked, start
from runtime.standins.cs3.arena import KEPT_BYTES, Arena
from runtime.standins.cs3.chat import ChatRequest
from runtime.standins.cs3.imports import Importer
from runtime.standins.cs3.phases import Phases
from runtime.standins.cs3.streams import Streams
from runtime.standins.engine.engine import Engine
from runtime.standins.reader.link import Link
from runtime.standins.vllm import kv_transfer_config
from runtime.standins.vllm.handover import Handover
from runtime.standins.vllm.kv_pool import KvPool
from runtime.standins.vllm.metrics import Metrics
from runtime.standins.vllm.producer import Producer

TOKENS: Final = 2_000
BLOCK: Final = 32
HOST: Final = "127.0.0.1"
BLOCKS: Final = tuple(range(1, -(-TOKENS // BLOCK) + 1))
PROMPT: Final = [number % 1000 for number in range(TOKENS)]
CHAT: Final = ChatRequest.from_body({"model": "SmolLM2-135M", "prompt": PROMPT, "max_tokens": 1}, chat=False)


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
    engine.prefill(PROMPT, cache, wrote=handover.wrote)
    return time.monotonic()


class Decoder:
    """Import KV as the emulator does."""

    def __init__(self, engine: Engine, link: Link, worker: Any) -> None:
        self._geometry, self._worker = engine.geometry, worker
        self._reservations = Reservations(memory=2**32, ttl=60)
        self.streams = Streams(engine, self._reservations, link)
        self._importer = Importer(engine, self._reservations, link, self.streams)

    async def close(self) -> None:
        """Let workers hear that all was read."""
        await self._importer.close(timeout=1)

    async def imported(self, *, streamed: bool) -> float:
        """Return the seconds from prefill's end to all KV, which was read as it was computed, or only then."""
        request = uuid.uuid4().hex
        size = (TOKENS + 1) * self._geometry.kv_bytes_per_token
        held = self._reservations.grant(size, request_id=request, attempt=1, max_tokens=1, now=time.monotonic())
        invitation = self.streams.invite(held) if streamed else {}
        self._worker.send(tuple(invitation.values()))
        ended, params = await _received(self._worker)
        accepted = _accepted(params, held, request)
        self._reservations.consume(held.reservation_id, request_id=request, attempt=1, now=time.monotonic())
        async with self._importer.imported(CHAT, PROMPT, accepted, held, Phases()) as imported:
            seconds = time.monotonic() - ended
            if imported.streamed is not streamed:
                raise HandoffError(Code.KV_TRANSFER, f"KV came {'after prefill' if streamed else 'in a stream'}")
        return seconds


def _accepted(params: dict[str, Any], held: Reservation, request: str) -> Accepted:
    """Return what an endpoint makes of a valid ticket."""
    ticket = Ticket.for_params(
        params,
        tenant="",
        request_id=request,
        attempt=1,
        model="",
        reservation_id=held.reservation_id,
        lease_ms=30_000,
        prefill_gap_ms=0,
        expires_at=time.time() + 60,
    )
    seal = Seal.from_params(params[fields.TANDEM][fields.SEAL], num_tokens=TOKENS)
    return Accepted(params=params, ticket=ticket, seal=seal)


@asynccontextmanager
async def _decoder(worker: Any) -> AsyncIterator[Decoder]:
    engine = Engine.load(take=Arena(KEPT_BYTES).take)
    agent = start(asked(os.environ), f"bench-{uuid.uuid4()}", host=HOST)
    link = Link(agent, handshake_seconds=5.0)
    decoder = Decoder(engine, link, worker)
    poll = asyncio.create_task(link.poll(decoder.streams.heard, decoder.streams.tend))
    try:
        yield decoder
    finally:
        await decoder.close()
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
        await decoder.imported(streamed=True)  # hands are shaken, memory is touched
        ways: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(rounds):
            for streamed, seconds in ways.items():
                seconds.append(await decoder.imported(streamed=streamed))
    return ways[True], ways[False]


if __name__ == "__main__":
    measure(5, print)
