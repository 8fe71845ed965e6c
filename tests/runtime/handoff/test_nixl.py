"""Move real memory between real NIXL agents over loopback."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.nixl import Agent, Pair, merge

SIZE = 8 * 2**20


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCX_NET_DEVICES", "lo")


@pytest.fixture
def worker() -> Iterator[Agent]:
    agent = Agent("worker")
    yield agent
    agent.close()


@pytest.fixture
def reader() -> Iterator[Agent]:
    agent = Agent("reader")
    yield agent
    agent.close()


@asynccontextmanager
async def polled(agent: Agent) -> AsyncIterator[list[tuple[str, bytes]]]:
    received: list[tuple[str, bytes]] = []

    async def poll() -> None:
        while True:
            received.extend(agent.notifications())
            await asyncio.sleep(0.0005)

    task = asyncio.create_task(poll())
    try:
        yield received
    finally:
        task.cancel()


async def arrival(received: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    async with asyncio.timeout(5):
        while not received:
            await asyncio.sleep(0.001)
    return received.pop(0)


async def test_read_copies_scattered_blocks_and_notifies(worker: Agent, reader: Agent) -> None:
    theirs, ours = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    worker.register(theirs)
    registration = reader.register(ours)
    remote = reader.add_remote(worker.metadata)
    block = 4096
    order = np.random.default_rng(2).permutation(SIZE // block)
    pairs = [(ours.ctypes.data + i * block, theirs.ctypes.data + int(j) * block, block) for i, j in enumerate(order)]
    async with polled(worker) as received:
        moved = await reader.read(remote, pairs, b"request:1")
        assert await arrival(received) == ("reader", b"request:1")
    assert moved == SIZE
    assert (ours.reshape(-1, block) == theirs.reshape(-1, block)[order]).all()
    reader.deregister(registration)


async def test_a_notification_needs_no_transfer(worker: Agent, reader: Agent) -> None:
    remote = reader.add_remote(worker.metadata)
    async with polled(worker) as received, polled(reader):
        reader.notify(remote, b"HB:a")
        assert await arrival(received) == ("reader", b"HB:a")


async def test_memory_that_was_not_registered_cannot_be_read(worker: Agent, reader: Agent) -> None:
    secret, ours = np.ones(64, np.uint8), np.zeros(64, np.uint8)
    worker.register(np.ones(64, np.uint8))
    reader.register(ours)
    remote = reader.add_remote(worker.metadata)
    with pytest.raises(HandoffError, match="cannot be read") as refused:
        await reader.read(remote, [(ours.ctypes.data, secret.ctypes.data, 64)], b"")
    assert refused.value.code is Code.KV_TRANSFER


async def test_a_read_that_is_given_up_keeps_its_memory_until_nixl_is_done(worker: Agent, reader: Agent) -> None:
    theirs, ours = np.ones(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    worker.register(theirs)
    registration = reader.register(ours)
    remote = reader.add_remote(worker.metadata)
    pair = (ours.ctypes.data, theirs.ctypes.data, SIZE)
    with pytest.raises(HandoffError, match=r"took over 0\.05 s"):  # the peer does not poll
        await reader.read(remote, [pair], b"late:1", timeout=0.05)
    reader.deregister(registration)
    assert registration in reader._registrations
    async with polled(worker), asyncio.timeout(5):
        while registration in reader._registrations:
            reader.notifications()
            await asyncio.sleep(0.001)
    assert ours.all()  # the bytes did arrive after the caller had left


async def test_cancelling_a_read_leaves_at_once(worker: Agent, reader: Agent) -> None:
    theirs, ours = np.ones(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    worker.register(theirs)
    reader.register(ours)
    remote = reader.add_remote(worker.metadata)
    read = asyncio.create_task(reader.read(remote, [(ours.ctypes.data, theirs.ctypes.data, SIZE)], b"x:1"))
    await asyncio.sleep(0.01)
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read


def test_refusals_are_handoff_errors(reader: Agent) -> None:
    with pytest.raises(HandoffError, match="metadata is unusable"):
        reader.add_remote(b"no metadata")
    with pytest.raises(HandoffError, match="cannot be notified"):
        reader.notify("nobody", b"")
    with pytest.raises(HandoffError, match=r"no backend 'FICTION', available: .*UCX"):
        Agent("other", backend="FICTION")


def test_only_contiguous_memory_is_registered(reader: Agent) -> None:
    with pytest.raises(ValueError, match="not contiguous"):
        reader.register(np.zeros((4, 4))[:, 0])


def test_the_agent_says_its_backend_and_closes_twice(reader: Agent) -> None:
    assert reader.backend == "UCX"
    reader.close()
    reader.close()


PEER = """
    import sys, time
    import numpy as np
    from runtime.handoff.nixl import Agent

    agent, data = Agent("peer"), np.ones(1 << 20, np.uint8)
    agent.register(data)
    print("ready", agent.metadata.hex(), data.ctypes.data, flush=True)
    while True:
        agent.notifications()
        time.sleep(0.001)
"""
SURVIVOR = """
    import asyncio, subprocess, sys
    import numpy as np
    from runtime.handoff.contract import HandoffError
    from runtime.handoff.nixl import Agent

    async def main():
        peer = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
        _, metadata, address = next(line for line in peer.stdout if line.startswith("ready")).split()
        agent, data = Agent("survivor"), np.zeros(1 << 20, np.uint8)
        agent.register(data)
        remote, pair = agent.add_remote(bytes.fromhex(metadata)), (data.ctypes.data, int(address), data.nbytes)
        assert await agent.read(remote, [pair], b"a:1") == data.nbytes
        peer.kill()
        peer.wait()
        for act in (lambda: agent.read(remote, [pair], b"b:1", timeout=5), lambda: agent.read(remote, [pair], b"c:1")):
            try:
                await act()
            except HandoffError as error:
                print("refused", error.code.value)
        agent.close()

    asyncio.run(main())
"""


def test_a_killed_peer_is_an_error_and_the_survivor_exits_cleanly() -> None:
    command = [sys.executable, "-c", textwrap.dedent(SURVIVOR), textwrap.dedent(PEER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused kv_transfer") == 2


blocks = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20)


@given(blocks)
def test_merging_copies_the_same_bytes(numbers: list[tuple[int, int]]) -> None:
    pairs = [(local * 16, 1000 + remote * 16, 16) for local, remote in numbers]
    assert _bytes(merge(pairs)) == _bytes(pairs)


def test_merging_joins_only_what_touches_on_both_sides() -> None:
    assert merge([(0, 100, 8), (8, 108, 8), (16, 200, 8), (24, 208, 4)]) == [(0, 100, 16), (16, 200, 12)]


def _bytes(pairs: list[Pair]) -> list[tuple[int, int]]:
    return [(local + i, remote + i) for local, remote, length in pairs for i in range(length)]
