"""Measure what a handoff costs over a bare NIXL READ of the same bytes: 2,000 tokens of SmolLM2-135M, 46 MB.

Producer and reader are two processes on this machine. In each round the same bytes are read as one region (the bare
READ), as vLLM's blocks in a row, and as scattered blocks; then registered, planned, read and verified, as an endpoint
does. Rounds are interleaved, so that whatever else the machine does falls on all; medians and their ratios are printed.
At last comes the time from prefill's end to all KV, with and without streaming (``benchmarks.streaming``).
``--tls tcp,self`` takes shared memory away from UCX, which is nearer to a network.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks import streaming
from runtime.handoff.kv import digest, layout
from runtime.handoff.kv.attention import Heads, Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.layout import Layout
from runtime.handoff.kv.memory import Holding, Integers, Memory
from runtime.handoff.kv.plan import plan
from runtime.handoff.seal import Seal
from runtime.handoff.transport.agent import merge
from runtime.handoff.transport.nixl import NixlAgent

TOKENS: Final = 2_000
BLOCK: Final = 32
POOL: Final = 256
POLL_SECONDS: Final = 0.0005


@dataclass(frozen=True)
class Offer:
    """Say where the producer's KV lies: the same bytes as one region, in blocks in a row, and scattered."""

    metadata: bytes
    whole: int
    memory: Memory
    row: tuple[int, ...]
    scattered: tuple[int, ...]
    seals: dict[str, Seal]


def description(order: Layout, block_size: int) -> KvDescription:
    """Return SmolLM2-135M's KV in f16."""
    attention = Heads(kv_heads=3, width=64, rope_dim=64)
    return KvDescription(
        attention=attention, layers=30, element=Element.F16, rope=Rope.HALF_SPLIT, layout=order, block_size=block_size
    )


def produce(offers: Any, stop: Any) -> None:
    """Hold KV and poll, as a worker does while it has leases."""
    agent = NixlAgent(f"bench-producer-{os.getpid()}")
    paged = description(layout.NHD, BLOCK)
    count = -(-TOKENS // BLOCK)
    row, scattered = tuple(range(1, count + 1)), tuple(random.Random(1).sample(range(count + 1, POOL), count))  # noqa: S311
    cache = Cache.allocate(paged, POOL, [row])
    rng = np.random.default_rng(1)
    seals = {}
    size = digest.block_tokens(384, block_size=BLOCK)
    for name, blocks in (("row", row), ("scattered", scattered)):
        kv = rng.integers(0, 2**16, (30, 2, TOKENS, 3, 64), np.uint16).view(np.float16)
        Cache(description=paged, ranks=cache.ranks, block_ids=(blocks,)).write(kv)
        seals[name] = Seal(generation="g", model_digest="", block_tokens=size, digests=digest.digests(kv, size))
    whole = np.ones(paged.nbytes(TOKENS), np.uint8)
    agent.register(whole, *cache.ranks[0])
    (memory,) = cache.holding().memories
    offers.put(Offer(agent.metadata, whole.ctypes.data, memory, row, scattered, seals))
    while not stop.is_set():
        agent.notifications()
        time.sleep(POLL_SECONDS)
    agent.close()


class Bench:
    """Read in turns; ``spent`` has seconds of each step by name."""

    def __init__(self, agent: NixlAgent, offer: Offer) -> None:
        self.agent, self.offer = agent, offer
        self.remote = agent.add_remote(offer.metadata)
        self.spent: dict[str, list[float]] = defaultdict(list)
        self.descriptors: dict[str, int] = {}
        self.cache = np.zeros((30, 2, TOKENS, 3, 64), np.float16)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the time inside the block."""
        began = time.perf_counter()
        yield
        self.spent[name].append(time.perf_counter() - began)

    async def bare(self) -> None:
        """Read one region into memory that is registered already."""
        registration = self.agent.register(self.cache)
        pair = (self.cache.ctypes.data, self.offer.whole, self.cache.nbytes)
        with self.step("bare READ"):
            await self.agent.read(self.remote, [pair], b"")
        self.agent.deregister(registration)

    async def whole(self, name: str, blocks: tuple[int, ...]) -> None:
        """Do all that an endpoint does."""
        with self.step(f"{name}: all"):
            with self.step(f"{name}: register"):
                registration = self.agent.register(self.cache)
            with self.step(f"{name}: plan"):
                pairs = self._pairs(blocks)
            with self.step(f"{name}: READ"):
                await self.agent.read(self.remote, pairs, b"")
            with self.step(f"{name}: verify"):
                digest.verify(self.cache, self.offer.seals[name])
            self.agent.deregister(registration)
        self.descriptors[name] = len(merge(pairs))
        self.cache[:] = 0

    async def staged(self, name: str, blocks: tuple[int, ...]) -> None:
        """Do the same by way of memory in the producer's layout, which whole blocks are read into, then converted."""
        step = f"{name}, staged"
        with self.step(f"{step}: all"):
            paged = description(layout.NHD, BLOCK)
            with self.step(f"{step}: register"):
                held = Cache.allocate(paged, len(blocks), [tuple(range(len(blocks)))])
                registration = self.agent.register(*held.ranks[0])
            with self.step(f"{step}: plan"):
                theirs = Holding(description=paged, memories=(self.offer.memory,), block_ids=(blocks,))
                whole_blocks = len(blocks) * BLOCK
                (transfer,) = plan(theirs, held.holding(), whole_blocks).transfers
                pairs = transfer.pairs
            with self.step(f"{step}: READ"):
                await self.agent.read(self.remote, pairs, b"")
            with self.step(f"{step}: convert"):
                held.read_into(self.cache)
            with self.step(f"{step}: verify"):
                digest.verify(self.cache, self.offer.seals[name])
            self.agent.deregister(registration)
        self.descriptors[step] = len(merge(pairs))
        self.cache[:] = 0

    def _pairs(self, blocks: tuple[int, ...]) -> Integers:
        engine = description(layout.TOKEN_MAJOR, TOKENS)
        here = Memory(bases=(self.cache.ctypes.data,), block_strides=(engine.block_bytes(),), num_blocks=1)
        paged = description(layout.NHD, BLOCK)
        producer = Holding(description=paged, memories=(self.offer.memory,), block_ids=(blocks,))
        consumer = Holding(description=engine, memories=(here,), block_ids=((0,),))
        (transfer,) = plan(producer, consumer, TOKENS).transfers
        return transfer.pairs


def main(arguments: Sequence[str] | None = None) -> int:
    """Print medians and ratios; return 0 whatever they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20, help="measured rounds (default: 20)")
    parser.add_argument("--streams", type=int, default=5, help="prefills streamed and not, 4 s each (default: 5)")
    parser.add_argument("--tls", help="UCX_TLS, what UCX may move bytes by; default: its own choice")
    options = parser.parse_args(arguments)
    os.environ.setdefault("UCX_NET_DEVICES", "lo")
    if options.tls:
        os.environ["UCX_TLS"] = options.tls
    context = multiprocessing.get_context("spawn")
    offers, stop = context.Queue(), context.Event()
    producer = context.Process(target=produce, args=(offers, stop))
    producer.start()
    agent = NixlAgent(f"bench-reader-{os.getpid()}")
    try:
        bench = Bench(agent, offers.get())
        asyncio.run(_rounds(bench, options.rounds))
    finally:
        stop.set()
        agent.close()
        producer.join()
    _report(bench, print)
    if options.streams:
        streaming.measure(options.streams, print)
    return 0


async def _rounds(bench: Bench, rounds: int) -> None:
    for number in range(rounds + 1):
        await bench.bare()
        await bench.whole("row", bench.offer.row)
        await bench.whole("scattered", bench.offer.scattered)
        await bench.staged("row", bench.offer.row)
        await bench.staged("scattered", bench.offer.scattered)
        if number == 0:  # connections are made, memory is touched
            bench.spent.clear()


def _report(bench: Bench, say: Callable[[str], None]) -> None:
    medians = {name: statistics.median(seconds) for name, seconds in bench.spent.items()}
    bare = medians["bare READ"]
    for name, seconds in medians.items():
        say(f"{name:<20} {seconds * 1000:8.2f} ms  {bench.cache.nbytes / seconds / 1e9:6.2f} GB/s")
    for name, count in bench.descriptors.items():
        whole, read, verify = (medians[f"{name}: {step}"] for step in ("all", "READ", "verify"))
        say(
            f"{name}: {count} descriptors; end to end {bare / whole:.2f} of the bare READ (goal 0.8); "
            f"READ {read / bare:.2f} x one region (goal 2); digests {verify / read:.1%} of the READ (goal 10 %)"
        )


if __name__ == "__main__":
    sys.exit(main())
