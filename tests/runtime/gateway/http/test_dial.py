"""A name is tried by each of its addresses; whoever leaves meanwhile, at whatever moment, leaves no socket open."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.gateway.http import dial as module
from runtime.gateway.http.dial import dial
from tests.patience import HUNG_SECONDS

HERE, NOBODY, SILENT, NAME = "127.0.0.1", "127.45.0.9", "127.45.0.10", "peer.internal"
TURNS = 20
"""More turns of the loop than connecting takes."""


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server((HERE, 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def silent(port: int) -> Iterator[None]:
    """Have an address answer neither yes nor no: the queue of who connects to it is full."""
    with socket.create_server((SILENT, port), backlog=0), socket.create_connection((SILENT, port)):
        yield


def named(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have the name stand for addresses, each of which stands for itself."""

    async def found(host: str, port: int, **__: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port))
            for address in (addresses if host == NAME else (host,))
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)


def still_open() -> int:
    """Return how many sockets this process has open, those included that nobody can close any more."""
    return sum(os.readlink(each).startswith("socket:") for each in Path("/proc/self/fd").iterdir() if each.is_symlink())


@pytest.mark.parametrize(
    ("host", "addresses"), [(HERE, ()), (NAME, (HERE, NOBODY)), (NAME, (NOBODY, HERE)), (NAME, (SILENT, HERE))]
)
@pytest.mark.usefixtures("silent")
async def test_who_leaves_while_it_connects_leaves_no_socket_and_has_left(
    host: str, addresses: tuple[str, ...], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, *addresses)
    monkeypatch.setattr(module, "_NEXT_ADDRESS_SECONDS", 0)
    before, connected = still_open(), 0
    for turns in range(TURNS):
        dialling = asyncio.create_task(dial(host, port))
        for _ in range(turns):
            await asyncio.sleep(0)
        told = dialling.cancel()
        await asyncio.wait([dialling])
        assert dialling.cancelled() == told, f"left after {turns} turns of the loop"
        if not told:
            connected += 1
            dialling.result().close()
        assert still_open() == before, f"left after {turns} turns of the loop"
    assert 0 < connected < TURNS, "it was left both before and after it had connected"


@pytest.mark.parametrize("addresses", [(HERE, NOBODY), (NOBODY, HERE), (SILENT, HERE), (HERE,)])
@pytest.mark.usefixtures("silent")
async def test_one_address_that_answers_is_enough(
    addresses: tuple[str, ...], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, *addresses)
    before = still_open()
    async with asyncio.timeout(HUNG_SECONDS):
        with await dial(NAME, port) as connected:
            assert connected.getpeername() == (HERE, port)
    await asyncio.sleep(0)  # the turn in which those that lost are closed
    assert still_open() == before


async def test_where_none_answers_the_error_says_so(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, NOBODY, NOBODY)
    before = still_open()
    with pytest.raises(ConnectionRefusedError):
        await dial(NAME, port)
    assert still_open() == before
