"""Measure what a handoff costs over a bare NIXL READ of the same bytes: 2,000 tokens of SmolLM2-135M, 46 MB.

Producer and reader are two processes on this machine. In each round the same bytes are read as one region (the bare
READ, one range, uncut), then imported from vLLM's blocks in a row, and from scattered ones, each in two layouts: NHD,
which the emulator reads in place, and HND, which it converts. It is done as the emulator does it, and step by step,
without overlap. Rounds are interleaved, so that whatever else the machine does falls on all; medians and their ratios
are printed. What is read from, and the cache, was touched before, also for the bare READ; where KV is converted, the
memory of an import's windows is allocated in it, and counts.
"At best" is the roofline: no import is faster than the bare READ, than a READ of its blocks at once, or than the work
of all its parts shared out to the cores without a gap: what that READ takes of cores on both sides, one hash, and one
copy where KV is converted.
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
import xxhash

from benchmarks import streaming
from runtime.handoff.kv import digest, layout
from runtime.handoff.kv.attention import Heads, Rope
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.description import Element, KvDescription
from runtime.handoff.kv.digest import Digester
from runtime.handoff.kv.layout import Layout
from runtime.handoff.kv.memory import Holding
from runtime.handoff.seal import Seal
from runtime.handoff.transport.agent import Pairs, merge
from runtime.handoff.transport.nixl import TCP_RANGE, WHOLE, NixlAgent
from runtime.standins.reader.landing import Landing
from runtime.standins.reader.window import WINDOW_BYTES, cut

TOKENS: Final = 2_000
BLOCK: Final = 32
POOL: Final = 256
POLL_SECONDS: Final = 0.0005


@dataclass(frozen=True)
class Offer:
    """Say where the producer's KV lies: some bytes in one region, and each case's blocks with what they hold."""

    metadata: bytes
    whole: int
    cases: dict[str, tuple[Holding, Seal]]


def description(order: Layout, block_size: int) -> KvDescription:
    """Return SmolLM2-135M's KV in f16."""
    attention = Heads(kv_heads=3, width=64, rope_dim=64)
    return KvDescription(
        attention=attention, layers=30, element=Element.F16, rope=Rope.HALF_SPLIT, layout=order, block_size=block_size
    )


LAYOUTS: Final = {"NHD": description(layout.NHD, BLOCK), "HND": description(layout.HND, BLOCK)}
DIGEST_TOKENS: Final = digest.block_tokens(384, block_size=BLOCK)
BLOCKS: Final = -(-TOKENS // BLOCK)
PLACES: Final = {
    "row": tuple(range(1, BLOCKS + 1)),
    "scattered": tuple(random.Random(1).sample(range(BLOCKS + 1, POOL), BLOCKS)),  # noqa: S311 - seeded
}


def produce(offers: Any, stop: Any, busy: Any) -> None:
    """Hold KV and poll, as a worker does while it has leases; ``busy`` says for how many seconds it used a core."""
    agent = NixlAgent(f"bench-producer-{os.getpid()}")
    rng, cases = np.random.default_rng(1), {}
    regions: list[Any] = []
    for name, described in LAYOUTS.items():
        cache = Cache.allocate(described, POOL, [PLACES["row"]])
        regions += cache.ranks[0]
        for place, blocks in PLACES.items():
            kv = rng.integers(0, 2**16, (30, 2, TOKENS, 3, 64), np.uint16).view(np.float16)
            there = Cache(description=described, ranks=cache.ranks, block_ids=(blocks,))
            there.write(kv)
            found = digest.digests(kv, DIGEST_TOKENS, BLOCK)
            seal = Seal(generation="g", model_digest="", block_tokens=DIGEST_TOKENS, digests=found)
            cases[f"{name} {place}"] = there.holding(), seal
    whole = np.ones(30 * 2 * TOKENS * 384, np.uint8)
    agent.register(whole, *regions)
    offers.put(Offer(agent.metadata, whole.ctypes.data, cases))
    while not stop.is_set():
        agent.notifications()
        busy.value = time.process_time()
        time.sleep(POLL_SECONDS)
    agent.close()


class Bench:
    """Read in turns; ``spent`` has seconds of each step by name."""

    def __init__(self, agent: NixlAgent, offer: Offer, producer_busy: Any) -> None:
        self.agent, self.offer, self._producer_busy = agent, offer, producer_busy
        self.remote = agent.add_remote(offer.metadata)
        self.spent: dict[str, list[float]] = defaultdict(list)
        self.ranges: dict[str, int] = {}
        self.cache = np.zeros((30, BLOCKS, 2, BLOCK, 3, 64), np.float16).swapaxes(1, 2)
        self._bytes = np.zeros(30 * 2 * TOKENS * 384, np.uint8)
        self._copy = np.ones_like(self._bytes)
        self._round: dict[str, float] = defaultdict(float)

    async def round(self) -> None:
        """Do everything once."""
        self._round.clear()
        self._local()
        await self._bare()
        for name, (worker, seal) in self.offer.cases.items():
            await self._at_once(name, worker)
            await self._imported(name, worker, seal)
            await self._stepwise(name, worker)
        for step, seconds in self._round.items():
            self.spent[step].append(seconds)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Add the time inside the block to the round's."""
        began = time.perf_counter()
        yield
        self._round[name] += time.perf_counter() - began

    async def _read(self, pairs: Pairs) -> int:
        return await self.agent.read(self.remote, pairs, b"")

    def _busy(self) -> float:
        """Return for how many seconds both sides have used a core."""
        return time.process_time() + float(self._producer_busy.value)

    def _local(self) -> None:
        """Do to the same bytes the least that an import does beside its READ."""
        with self._step("copy"):
            np.copyto(self._copy, self._bytes)
        with self._step("hash"):
            xxhash.xxh3_64(self._bytes.data).digest()

    async def _bare(self) -> None:
        """Read one region into memory that is registered already."""
        registration = self.agent.register(self._bytes)
        self.agent.range_bytes = WHOLE  # over the same connection: TCP is faster on one that is in use
        with self._step("bare READ"):
            await self._read([(self._bytes.ctypes.data, self.offer.whole, self._bytes.nbytes)])
        self.agent.range_bytes = TCP_RANGE
        self.agent.deregister(registration)

    async def _at_once(self, name: str, worker: Holding) -> None:
        """Read all blocks by one READ, as they are."""
        memory, cuttings = cut(worker, TOKENS, self.cache, WINDOW_BYTES)
        windows = list(cuttings)
        if windows[0].staged:
            memory[:] = 0
        registration = self.agent.register(memory)
        pairs = np.concatenate([window.pairs for window in windows])  # staged ones take turns in their memory here too
        began = self._busy()
        with self._step(f"{name}: READ at once"):
            await self._read(pairs)
        self._round[f"{name}: cores busy"] = self._busy() - began
        self.agent.deregister(registration)

    async def _imported(self, name: str, worker: Holding, seal: Seal) -> None:
        """Do all that an endpoint does, as it does."""
        self.cache[:] = 0
        with self._step(f"{name}: all"):
            landing = Landing(worker, TOKENS, self.cache, seal)
            registration = self.agent.register(landing.memory)
            await landing.bring(self._read)
            landing.verify()
            self.agent.deregister(registration)

    async def _stepwise(self, name: str, worker: Holding) -> None:
        """Do the same without any overlap."""
        with self._step(f"{name}: plan"):
            memory, cuttings = cut(worker, TOKENS, self.cache, WINDOW_BYTES)
            windows = list(cuttings)
        with self._step(f"{name}: register"):
            registration = self.agent.register(memory)
        digester = Digester((30, 2, TOKENS, 3, 64), self.cache.dtype, DIGEST_TOKENS, BLOCK)
        for window in windows:
            kv = self.cache[window.layers]
            with self._step(f"{name}: READ"):
                await self._read(window.pairs)
            with self._step(f"{name}: convert"):
                if window.staged:
                    window.staged.read_into(kv, TOKENS)
            with self._step(f"{name}: digest"):
                digester.advance_all(kv)
        self.agent.deregister(registration)
        self.ranges[name] = sum(len(merge(window.pairs)) for window in windows)


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
    offers, stop, busy = context.Queue(), context.Event(), context.Value("d", lock=False)
    producer = context.Process(target=produce, args=(offers, stop, busy))
    producer.start()
    agent = NixlAgent(f"bench-reader-{os.getpid()}")
    try:
        bench = Bench(agent, offers.get(), busy)
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
    await bench.round()  # connections are made, memory is touched
    bench.spent.clear()
    for _ in range(rounds):
        await bench.round()


def _report(bench: Bench, say: Callable[[str], None]) -> None:
    medians = {name: statistics.median(seconds) for name, seconds in bench.spent.items()}
    bare, size = medians["bare READ"], bench.cache.nbytes
    for name, seconds in medians.items():
        say(f"{name:<28} {seconds * 1000:8.2f} ms  {size / max(seconds, 1e-9) / 1e9:6.2f} GB/s")
    cores = len(os.sched_getaffinity(0))
    for name, count in bench.ranges.items():
        read, digests = medians[f"{name}: READ"], medians[f"{name}: digest"]
        work = medians[f"{name}: cores busy"] + medians["hash"] + medians["copy"] * (not name.startswith("NHD"))
        best = max(bare, medians[f"{name}: READ at once"], work / cores)
        say(
            f"{name}: end to end {bare / medians[f'{name}: all']:.2f} of the bare READ (goal 0.8); "
            f"at best {bare / best:.2f}, with {work * 1000:.1f} ms of work on {cores} cores"
        )
        say(
            f"{name}: {count} ranges; READ {read / bare:.2f} x one region (goal 2); "
            f"digests {digests / read:.1%} of the READ (goal 10 %)"
        )


if __name__ == "__main__":
    sys.exit(main())
