"""What the server makes of clients: kept and broken connections, bodies, streams, and its own end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from runtime.gateway.http import server as http_server
from runtime.gateway.http.message import Answer, HttpError, Request
from runtime.gateway.http.server import Server
from runtime.gateway.http.stream import Stream
from tests.patience import HUNG_SECONDS

HOST = "127.0.0.1"
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
Handle = Callable[[Request], Awaitable[Answer | Stream]]


class Client:
    """Speak by bytes; ``answer`` reads one that has a length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def head(self) -> bytes:
        """Return the next head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[bytes, bytes]:
        """Return the next head and body."""
        head = await self.head()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head, await self.reader.readexactly(length)


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[Server]:
    """Serve; everything is bounded in time."""
    server = Server(handle, lambda status, kind: Answer(kind.encode(), status))
    await server.start(HOST, 0)
    try:
        async with asyncio.timeout(HUNG_SECONDS):
            yield server
    finally:
        await server.stop(0.0)
    assert not server.connections


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[Client]:
    """Connect."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def echo(request: Request) -> Answer:
    """Answer by method, target and body."""
    try:
        body = await request.body.read(2**20)
    except HttpError as error:
        return Answer(error.reason.encode(), error.status)
    return Answer(b" ".join([request.method.encode(), request.target.encode(), body]))


async def test_requests_on_one_connection_are_answered_in_turn() -> None:
    async with serving(echo) as server, client(server) as asking:
        for _ in range(2):
            asking.writer.write(b"POST /a?b=%20 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
            assert (await asking.answer())[1] == b"POST /a?b=%20 body"
        asking.writer.write(GET + b"GET /b HTTP/1.1\r\n\r\n" + GET)
        assert [(await asking.answer())[1] for _ in range(3)] == [b"GET /a ", b"GET /b ", b"GET /a "]
        assert len(server.connections) == 1


async def test_a_chunked_body_is_read_however_it_is_cut() -> None:
    raw = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
    async with serving(echo) as server, client(server) as asking:
        for at in range(1, len(raw)):
            asking.writer.write(raw[:at])
            await asyncio.sleep(0)
            asking.writer.write(raw[at:])
            assert (await asking.answer())[1] == b"POST /a body"


async def test_who_expects_a_continue_gets_one() -> None:
    async with serving(echo) as server, client(server) as asking:
        asking.writer.write(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert await asking.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        asking.writer.write(b"body")
        assert (await asking.answer())[1] == b"POST /a body"


async def test_head_has_no_body() -> None:
    async with serving(echo) as server, client(server) as asking:
        asking.writer.write(b"HEAD /a HTTP/1.1\r\n\r\n" + GET)
        assert b"content-length: 8\r\n" in (await asking.head()).lower()
        assert (await asking.answer())[1] == b"GET /a "


@pytest.mark.parametrize("raw", [b"GET /a HTTP/1.0\r\n\r\n", b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"])
async def test_a_connection_that_is_not_kept_ends_after_the_answer(raw: bytes) -> None:
    async with serving(echo) as server, client(server) as asking:
        asking.writer.write(raw)
        head, body = await asking.answer()
        assert body == b"GET /a "
        assert b"Connection: close" in head
        assert await asking.reader.read() == b""


async def test_an_upgrade_is_not_made() -> None:
    async with serving(echo) as server, client(server) as asking:
        asking.writer.write(GET[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0")
        head, body = await asking.answer()
        assert (head[:15], body) == (b"HTTP/1.1 200 OK", b"GET /a ")
        assert await asking.reader.read() == b""


async def test_a_body_that_is_no_http_is_told_to_who_reads_it() -> None:
    async with serving(echo) as server, client(server) as asking:
        asking.writer.write(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
        head, body = await asking.answer()
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"the body is not HTTP" in body
        assert await asking.reader.read() == b""


async def test_a_body_that_nobody_wants_has_its_sender_wait() -> None:
    wanted, sent = asyncio.Event(), 0

    async def handle(request: Request) -> Answer:
        await wanted.wait()
        return Answer(str(len(await request.body.read(2**26))).encode())

    async def send(asking: Client) -> None:
        nonlocal sent
        for _ in range(32):
            asking.writer.write(b"x" * 2**20)
            await asking.writer.drain()
            sent += 1

    async with serving(handle) as server, client(server) as asking, client(server) as other:
        asking.writer.write(b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % 2**25)
        sending = asyncio.create_task(send(asking))
        other.writer.write(GET)
        done, _ = await asyncio.wait([sending], timeout=0.3)
        assert not done
        assert sent < 32
        wanted.set()
        assert (await asking.answer())[1] == str(2**25).encode()
        await sending


async def streamed(request: Request) -> Stream:
    """Answer by a stream of 64 MiB."""
    stream = request.stream({"X": "y"})
    for _ in range(64):
        await stream.write(b"x" * 2**20)
    stream.end()
    return stream


async def test_a_stream_waits_for_a_client_that_reads_slowly() -> None:
    went = asyncio.Event()

    async def handle(request: Request) -> Stream:
        stream = await streamed(request)
        went.set()
        return stream

    async with serving(handle) as server, client(server) as asking:
        asking.writer.write(GET)
        assert b"Transfer-Encoding: chunked\r\n" in await asking.head()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(went.wait(), 0.3)
        received = 0
        while not went.is_set():
            received += len(await asking.reader.read(2**20))
        assert received > 2**25


async def test_a_stream_to_http_1_0_ends_with_its_connection() -> None:
    async with serving(streamed) as server, client(server) as asking:
        asking.writer.write(b"GET /a HTTP/1.0\r\n\r\n")
        assert b"chunked" not in await asking.head()
        assert len(await asking.reader.read()) == 2**26


async def test_a_client_that_leaves_ends_the_handler() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(_: Request) -> Answer:
        try:
            began.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    async with serving(handle) as server:
        async with client(server) as asking:
            asking.writer.write(GET)
            await began.wait()
        await cancelled.wait()


async def test_the_end_waits_for_requests_under_way_and_closes_idle_connections() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def handle(_: Request) -> Answer:
        began.set()
        await go_on.wait()
        return Answer(b"answer")

    async with serving(handle) as server, client(server) as busy, client(server) as idle:
        port = server.port
        busy.writer.write(GET)
        await began.wait()
        stopping = asyncio.create_task(server.stop(HUNG_SECONDS))
        assert await idle.reader.read() == b""
        with pytest.raises(OSError):  # noqa: PT011 - whichever way it is refused
            await asyncio.open_connection(HOST, port)
        go_on.set()
        head, body = await busy.answer()
        assert (b"Connection: close" in head, body) == (True, b"answer")
        await stopping


async def test_who_comes_as_the_end_begins_is_not_kept() -> None:
    async with serving(echo) as server:
        server.closing = True  # and what was accepted before it listened no more gets its connection now
        async with client(server) as late:
            with suppress(ConnectionResetError):
                assert await late.reader.read() == b""


async def test_the_end_waits_until_what_was_written_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_SEND_SECONDS", HUNG_SECONDS)
    written = asyncio.Event()

    async def handle(_: Request) -> Answer:
        asyncio.get_running_loop().call_soon(written.set)
        return Answer(b"x" * 2**24)

    async with serving(handle) as server, client(server) as asking:
        asking.writer.write(GET)
        await written.wait()
        stopping = asyncio.create_task(server.stop(0.0))
        assert len((await asking.answer())[1]) == 2**24
        await stopping


async def test_what_does_not_end_in_time_is_cancelled() -> None:
    began = asyncio.Event()

    async def handle(_: Request) -> Answer:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(handle) as server, client(server) as asking:
        asking.writer.write(GET)
        await began.wait()
        await server.stop(0.01)
        assert await asking.reader.read() == b""
