"""What every transport must do, with real memory between real agents over loopback."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.transport.agent import Agent
from runtime.handoff.transport.choose import PROVIDERS, Transport, start
from tests.patience import HUNG_SECONDS

SIZE = 8 * 2**20
HOST = "127.0.0.1"
Start = Callable[[str], Agent]


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCX_NET_DEVICES", "lo")


@pytest.fixture(params=[Transport.UCX, Transport.TCP])
def transport(request: pytest.FixtureRequest) -> Transport:
    return Transport(request.param)


@pytest.fixture
def worker(transport: Transport) -> Iterator[Agent]:
    agent = start(transport, "worker", host=HOST)
    yield agent
    agent.close()


@pytest.fixture
def reader(transport: Transport) -> Iterator[Agent]:
    agent = start(transport, "reader", host=HOST)
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
    async with asyncio.timeout(HUNG_SECONDS):
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
        moved = await reader.read(remote, pairs, b"request:1", timeout=HUNG_SECONDS)
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
    async with polled(worker):
        with pytest.raises(HandoffError, match="cannot be read") as refused:
            await reader.read(remote, [(ours.ctypes.data, secret.ctypes.data, 64)], b"", timeout=HUNG_SECONDS)
    assert refused.value.code is Code.KV_TRANSFER


async def test_a_read_without_a_notification_sends_none(worker: Agent, reader: Agent) -> None:
    theirs, ours = np.ones(64, np.uint8), np.zeros(64, np.uint8)
    worker.register(theirs)
    reader.register(ours)
    remote = reader.add_remote(worker.metadata)
    async with polled(worker) as received:
        await reader.read(remote, [(ours.ctypes.data, theirs.ctypes.data, 64)], b"", timeout=HUNG_SECONDS)
        reader.notify(remote, b"next")
        async with polled(reader):
            assert await arrival(received) == ("reader", b"next")


async def test_reads_and_notices_of_many_requests_run_at_once(worker: Agent, reader: Agent) -> None:
    theirs = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)
    ours = [np.zeros(SIZE, np.uint8) for _ in range(4)]
    worker.register(theirs)
    reader.register(*ours)
    remote = reader.add_remote(worker.metadata)
    async with polled(worker) as received:
        pairs = [[(each.ctypes.data, theirs.ctypes.data, SIZE)] for each in ours]
        reads = [
            reader.read(remote, pair, f"r:{number}".encode(), timeout=HUNG_SECONDS) for number, pair in enumerate(pairs)
        ]
        assert await asyncio.gather(*reads) == [SIZE] * 4
        async with asyncio.timeout(HUNG_SECONDS):
            while len(received) < 4:
                reader.notifications()
                await asyncio.sleep(0.001)
    assert all((each == theirs).all() for each in ours)
    assert sorted(message for _, message in received) == [b"r:0", b"r:1", b"r:2", b"r:3"]


async def test_a_read_that_is_given_up_keeps_its_memory_until_nothing_can_write(worker: Agent, reader: Agent) -> None:
    theirs, ours = np.ones(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    worker.register(theirs)
    registration = reader.register(ours)
    remote = reader.add_remote(worker.metadata)
    with pytest.raises(HandoffError, match=r"took over 0\.05 s"):  # the peer does not poll
        await reader.read(remote, [(ours.ctypes.data, theirs.ctypes.data, SIZE)], b"late:1", timeout=0.05)
    settled: list[bytes] = []
    reader.deregister(registration, lambda: settled.append(ours.tobytes()))
    async with polled(worker), asyncio.timeout(HUNG_SECONDS):
        while not settled:
            reader.notifications()
            await asyncio.sleep(0.001)
        for _ in range(50):
            reader.notifications()
            await asyncio.sleep(0.001)
    assert settled == [ours.tobytes()]  # once, and nothing was written after it


async def test_a_read_that_is_given_up_leaves_the_others_alone(worker: Agent, reader: Agent) -> None:
    theirs = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)
    lost, kept = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    worker.register(theirs)
    reader.register(lost, kept)
    remote = reader.add_remote(worker.metadata)
    read = asyncio.create_task(
        reader.read(remote, [(lost.ctypes.data, theirs.ctypes.data, SIZE)], b"lost:1", timeout=HUNG_SECONDS)
    )
    await asyncio.sleep(0.01)
    async with polled(worker):
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        await reader.read(remote, [(kept.ctypes.data, theirs.ctypes.data, SIZE)], b"kept:1", timeout=HUNG_SECONDS)
    assert (kept == theirs).all()


async def test_cancelling_a_read_leaves_at_once(worker: Agent, reader: Agent) -> None:
    theirs, ours = np.ones(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    worker.register(theirs)
    reader.register(ours)
    remote = reader.add_remote(worker.metadata)
    read = asyncio.create_task(
        reader.read(remote, [(ours.ctypes.data, theirs.ctypes.data, SIZE)], b"x:1", timeout=HUNG_SECONDS)
    )
    await asyncio.sleep(0.01)
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read


def test_refusals_are_handoff_errors(reader: Agent) -> None:
    with pytest.raises(HandoffError, match="metadata is unusable"):
        reader.add_remote(b"no metadata")
    with pytest.raises(HandoffError, match="cannot be notified"):
        reader.notify("nobody", b"")


@pytest.mark.parametrize(("ours", "other"), [(Transport.UCX, Transport.TCP), (Transport.TCP, Transport.UCX)])
def test_another_transport_is_no_peer(ours: Transport, other: Transport) -> None:
    first, second = start(ours, "first", host=HOST), start(other, "second", host=HOST)
    try:
        with pytest.raises(HandoffError, match="metadata is unusable"):
            first.add_remote(second.metadata)
    finally:
        first.close()
        second.close()


def test_only_contiguous_memory_is_registered(reader: Agent) -> None:
    with pytest.raises(ValueError, match="not contiguous"):
        reader.register(np.zeros((4, 4))[:, 0])


def test_the_agent_says_its_provider_and_closes_twice(transport: Transport, reader: Agent) -> None:
    assert reader.provider == PROVIDERS[transport]
    reader.close()
    reader.close()


PEER = """
    import sys, time
    import numpy as np
    from runtime.handoff.transport.choose import Transport, start

    agent, data = start(Transport(sys.argv[1]), "peer", host="127.0.0.1"), np.ones(1 << 20, np.uint8)
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
    from runtime.handoff.transport.choose import Transport, start

    async def main():
        peer = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
        _, metadata, address = next(line for line in peer.stdout if line.startswith("ready")).split()
        agent, data = start(Transport(sys.argv[2]), "survivor", host="127.0.0.1"), np.zeros(1 << 20, np.uint8)
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


def test_a_killed_peer_is_an_error_and_the_survivor_exits_cleanly(transport: Transport) -> None:
    command = [sys.executable, "-c", textwrap.dedent(SURVIVOR), textwrap.dedent(PEER), transport.value]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HUNG_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused kv_transfer") == 2
