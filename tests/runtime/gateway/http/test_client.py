"""What the client makes of peers that speak HTTP, in each of its ways, and of those that do not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from runtime.gateway.http.client import HttpClient
from runtime.gateway.peers.upstream import NotSentError, UnreachableError
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.conftest import Forward

HOST = "127.0.0.1"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


class Peer:
    """Serve each connection by a script; ``heads`` are the requests, ``left`` tells that a client left."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.connections = 0
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        try:
            await self._script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[tuple[Peer, str]]:
    """Serve, and return the peer and its URL; everything is bounded in time."""
    peer = Peer(script)
    async with asyncio.timeout(HUNG_SECONDS), await asyncio.start_server(peer.serve, HOST, 0) as server:
        yield peer, f"http://{HOST}:{server.sockets[0].getsockname()[1]}/path?query=1"


def always(answer: bytes, *, close: bool = False) -> Script:
    """Answer each request by the same bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if close:
                return

    return script


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    yield made
    await made.close()


async def read(client: HttpClient, url: str) -> bytes:
    """Ask and return the body."""
    with await client.ask("GET", url, headers={}) as response:
        await response.head()
        assert response.status == 200
        return await response.read()


@pytest.mark.parametrize("answer", [SIZED, CHUNKED, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIZED])
async def test_a_connection_serves_one_request_after_the_other(client: HttpClient, answer: bytes) -> None:
    async with serving(always(answer)) as (peer, url):
        for _ in range(3):
            assert await read(client, url) == b"hello"
        assert peer.connections == 1
        await client.close()


async def test_an_answer_may_end_with_its_connection(client: HttpClient) -> None:
    async with serving(always(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True)) as (peer, url):
        for _ in range(2):
            assert await read(client, url) == b"hello"
        assert peer.connections == 2


async def test_what_is_sent_is_what_was_given(client: HttpClient) -> None:
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        got.append(await reader.readexactly(4))
        writer.write(SIZED)

    headers = {"X-One": "ü"}
    async with serving(script) as (_, url):
        with await client.ask("POST", url, headers=headers, body=b"body") as response:
            await response.read()
    line, *sent = got[0].decode().split("\r\n")[:-2]
    assert line == "POST /path?query=1 HTTP/1.1"
    assert {"Host: " + url.split("/")[2], "X-One: ü", "Content-Length: 4", "Accept-Encoding: identity"} <= set(sent)
    assert got[1] == b"body"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**17,
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
async def test_an_answer_that_is_none_or_breaks_off_is_an_error(client: HttpClient, answer: bytes) -> None:
    async with serving(always(answer, close=True)) as (_, url):
        with pytest.raises(UnreachableError) as caught:
            await read(client, url)
    assert not isinstance(caught.value, NotSentError)


async def test_what_came_before_a_break_is_handed_on(client: HttpClient) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with serving(always(answer, close=True)) as (_, url):
        with await client.ask("GET", url, headers={}) as response:
            assert await response.take() == b"hello"
            with pytest.raises(UnreachableError, match="it closed the connection"):
                await response.take()


async def test_more_than_was_asked_for_ends_the_connection(client: HttpClient) -> None:
    async with serving(always(SIZED + SIZED)) as (peer, url):
        for _ in range(2):
            assert await read(client, url) == b"hello"
        assert peer.connections == 2
        await client.close()


async def test_a_peer_that_falls_silent_is_left(client: HttpClient, forward: Forward) -> None:
    async with serving(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")) as (peer, url):
        with await client.ask("GET", url, headers={}, silence=60) as silent:
            assert await silent.take() == b"hello"
            forward(61)
            with pytest.raises(UnreachableError, match="it sent nothing"):
                await silent.take()
        await peer.left.wait()


async def test_within_an_answer_a_peer_may_be_silent_for_less_long(client: HttpClient, forward: Forward) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    async with serving(always(head + b"hello")) as (_, url), serving(always(head)) as (_, waiting):
        begun = await client.ask("GET", url, headers={}, silence=60, pause=20)
        headed = await client.ask("GET", waiting, headers={}, silence=60, pause=20)
        with begun, headed:
            assert await begun.take() == b"hello"
            await headed.head()
            forward(21)
            with pytest.raises(UnreachableError, match="it sent nothing for 20 s"):
                await begun.take()
            forward(40)
            with pytest.raises(UnreachableError, match="it sent nothing for 60 s"):
                await headed.take()


async def test_a_host_that_is_gone_is_noticed_by_its_kernel_s_silence(client: HttpClient) -> None:
    async with serving(always(SIZED)) as (_, url):
        with await client.ask("GET", url, headers={}) as response:
            connection = response.transport.get_extra_info("socket")
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            assert [connection.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [10, 5, 3]
            await response.read()


async def test_who_is_cancelled_while_reading_may_read_on(client: HttpClient) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await cancelled.wait()
        writer.write(b"again")

    cancelled = asyncio.Event()
    async with serving(script) as (_, url):
        with await client.ask("GET", url, headers={}) as response:
            await response.head()
            reading = asyncio.ensure_future(response.read())
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            cancelled.set()
            assert await response.read() == b"helloagain"


async def test_leaving_before_the_end_closes_the_connection(client: HttpClient) -> None:
    async with serving(always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")) as (peer, url):
        with await client.ask("GET", url, headers={}) as response:
            await response.head()
        await peer.left.wait()


async def test_a_peer_waits_for_a_reader_that_is_slower(client: HttpClient) -> None:
    sent = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(64):
            writer.write(b"x" * 2**20)
            await writer.drain()
            sent += 2**20

    async with serving(script) as (_, url):
        with await client.ask("GET", url, headers={}) as response, await client.ask("GET", url, headers={}) as other:
            assert len(await other.read()) == 64 * 2**20
            through = sent
            assert through < 128 * 2**20  # a whole answer went by meanwhile: the first would have come as well
            assert len(await response.read()) == 64 * 2**20
    assert sent == 128 * 2**20


async def test_nobody_there_is_told_from_an_answer_that_broke(client: HttpClient) -> None:
    async with serving(always(SIZED)) as (_, url):
        pass
    with pytest.raises(NotSentError):
        await read(client, url)


async def test_a_value_that_would_begin_another_header_is_not_sent(client: HttpClient) -> None:
    with pytest.raises(ValueError, match="end of line"):
        await client.ask("GET", "http://127.0.0.1:1/", headers={"Authorization": "Bearer a\r\nX: b"})
