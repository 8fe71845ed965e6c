"""A peer that breaks the protocol is cut off, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from runtime.handoff.contract import HandoffError
from runtime.handoff.transport.tcp import frames, owner
from runtime.handoff.transport.tcp.agent import TcpAgent
from runtime.handoff.transport.tcp.frames import HEADER, Kind, Place
from tests.patience import HUNG_SECONDS

SIZE = 1 << 20


@pytest.fixture
def agent() -> Iterator[TcpAgent]:
    agent = TcpAgent("agent")
    yield agent
    agent.close()


@pytest.fixture
def peer(agent: TcpAgent) -> Iterator[socket.socket]:
    """Yield a connection to the agent, which has greeted nobody yet."""
    place = Place.decode(agent.metadata)
    with socket.create_connection((place.host, place.port), timeout=HUNG_SECONDS) as peer:
        yield peer


def greet(agent: TcpAgent, peer: socket.socket, token: str | None = None) -> None:
    peer.sendall(frames.greeting(bytes.fromhex(token or Place.decode(agent.metadata).token), "peer"))


def polling(agent: TcpAgent) -> Iterator[None]:
    """Have the agent do what it can, again and again, until it would be hung."""
    deadline = time.monotonic() + HUNG_SECONDS
    while time.monotonic() < deadline:
        agent._progress()
        yield
        time.sleep(0.001)  # polled, since nothing announces what comes
    pytest.fail("nothing came of it")


def require_cut_off(agent: TcpAgent, peer: socket.socket) -> None:
    """Wait until the agent closes the connection."""
    peer.settimeout(0)
    for _ in polling(agent):
        with suppress(BlockingIOError):
            try:
                if not peer.recv(65536):
                    return
            except ConnectionResetError:
                return


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n" + b"x" * 64,
        frames.greeting(b"0" * frames.TOKEN_BYTES, "thief"),
        frames.GREETING.pack(frames.MAGIC, b"0" * frames.TOKEN_BYTES, 0),
    ],
)
def test_who_does_not_know_the_token_is_cut_off(agent: TcpAgent, peer: socket.socket, said: bytes) -> None:
    peer.sendall(said)
    require_cut_off(agent, peer)


@pytest.mark.parametrize(
    "frame",
    [
        HEADER.pack(9, 1, 0),
        HEADER.pack(Kind.DATA, 1, 8),
        HEADER.pack(Kind.READ, 1, 0),
        HEADER.pack(Kind.READ, 1, 17) + b"x" * 17,
        HEADER.pack(Kind.READ, 1, 2**32 - 1),
        HEADER.pack(Kind.NOTICE, 0, frames.NOTICE_BYTES + 1),
        frames.read(1, [(0, frames.READ_BYTES), (0, 1)]),
    ],
)
def test_a_frame_that_is_not_allowed_ends_the_connection(agent: TcpAgent, peer: socket.socket, frame: bytes) -> None:
    greet(agent, peer)
    peer.sendall(frame)
    require_cut_off(agent, peer)
    assert agent.notifications() == []


def test_who_asks_for_more_than_its_credit_is_cut_off(agent: TcpAgent, peer: socket.socket) -> None:
    data = np.ones(frames.READ_BYTES, np.uint8)
    agent.register(data)
    greet(agent, peer)
    peer.sendall(frames.read(1, [(data.ctypes.data, data.nbytes)]) * 50)  # and takes nothing
    ended = select.poll()
    ended.register(peer, select.POLLRDHUP)
    for _ in polling(agent):
        if ended.poll(0):
            return


def test_notices_that_nobody_takes_hold_up_their_sender(agent: TcpAgent, peer: socket.socket) -> None:
    greet(agent, peer)
    peer.settimeout(HUNG_SECONDS)
    notice = HEADER.pack(Kind.NOTICE, 0, 1) + b"n"
    peer.sendall(notice * 3 * owner.INBOX)
    for _ in polling(agent):
        if len(agent._inbox) == owner.INBOX:
            break
    for _ in range(400):
        agent._progress()
        assert len(agent._inbox) <= owner.INBOX
    taken: list[tuple[str, bytes]] = []
    for _ in polling(agent):
        taken += agent.notifications()
        if len(taken) >= 3 * owner.INBOX:
            break
    assert taken == [("peer", b"n")] * 3 * owner.INBOX


async def test_memory_that_was_deregistered_is_not_read_any_more(agent: TcpAgent) -> None:
    reader = TcpAgent("reader")
    theirs, ours = np.ones(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    registration = agent.register(theirs)
    reader.register(ours)
    remote = reader.add_remote(agent.metadata)
    pair = (ours.ctypes.data, theirs.ctypes.data, SIZE)
    polling = asyncio.create_task(_poll(agent))
    assert await reader.read(remote, [pair], b"", timeout=HUNG_SECONDS) == SIZE
    agent.deregister(registration)
    with pytest.raises(HandoffError, match="1 of 1 ranges are not registered"):
        await reader.read(remote, [pair], b"", timeout=HUNG_SECONDS)
    reader.notify(remote, b"the connection lives")
    polling.cancel()
    async with asyncio.timeout(HUNG_SECONDS):
        while not (got := agent.notifications()):
            await asyncio.sleep(0.001)
    assert got == [("reader", b"the connection lives")]
    reader.close()


async def test_only_registered_memory_is_read_into(agent: TcpAgent) -> None:
    reader = TcpAgent("reader")
    remote = reader.add_remote(agent.metadata)
    with pytest.raises(HandoffError, match="into memory that is not registered"):
        await reader.read(remote, [(np.zeros(8, np.uint8).ctypes.data, 0, 8)], b"", timeout=HUNG_SECONDS)
    reader.close()


@pytest.mark.parametrize(
    "answer",
    [
        HEADER.pack(Kind.DATA, 1, SIZE - 1),
        HEADER.pack(Kind.DATA, 2, SIZE),
        HEADER.pack(Kind.REFUSED, 1, frames.REASON_BYTES + 1),
        HEADER.pack(Kind.READ, 1, SIZE),
        b"",
    ],
)
async def test_an_answer_of_another_length_or_order_is_no_answer(answer: bytes) -> None:
    """An owner that is out of step, or dies: the reader's memory is not touched."""
    ours = np.zeros(SIZE, np.uint8)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = Place(name="odd", host="127.0.0.1", port=listening.getsockname()[1], token="ab" * 16)
        reader = TcpAgent("reader")
        reader.register(ours)
        remote = reader.add_remote(place.encode())
        read = asyncio.create_task(reader.read(remote, [(ours.ctypes.data, 1, SIZE)], b"", timeout=HUNG_SECONDS))
        await asyncio.sleep(0)
        accepted, _ = listening.accept()
        with accepted:
            accepted.sendall(answer)
            if not answer:
                accepted.shutdown(socket.SHUT_WR)
            with pytest.raises(HandoffError, match=r"connection to .* failed"):
                await read
    assert not ours.any()
    with pytest.raises(HandoffError, match="disconnected"):
        reader.notify(remote, b"n")
    reader.close()


async def test_a_restarted_peer_at_the_same_port_is_another_life(agent: TcpAgent) -> None:
    stale = json.loads(agent.metadata) | {"token": "00" * frames.TOKEN_BYTES}
    reader, ours = TcpAgent("reader"), np.zeros(8, np.uint8)
    theirs = np.ones(8, np.uint8)
    agent.register(theirs)
    reader.register(ours)
    remote = reader.add_remote(json.dumps(stale).encode())
    polling = asyncio.create_task(_poll(agent))
    with pytest.raises(HandoffError, match="failed"):
        await reader.read(remote, [(ours.ctypes.data, theirs.ctypes.data, 8)], b"", timeout=HUNG_SECONDS)
    assert not ours.any()
    assert await reader.read(reader.add_remote(agent.metadata), [(ours.ctypes.data, theirs.ctypes.data, 8)], b"") == 8
    polling.cancel()
    reader.close()


def test_an_address_that_is_not_ours_cannot_be_listened_on() -> None:
    with pytest.raises(HandoffError, match=r"cannot listen on 192\.0\.2\.1"):
        TcpAgent("a", host="192.0.2.1")


async def _poll(agent: TcpAgent) -> None:
    while True:
        agent.notifications()
        await asyncio.sleep(0.001)
