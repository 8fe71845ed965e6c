"""The head of an answer goes with its first bytes where these are there, and never waits for them."""

from __future__ import annotations

import asyncio

from runtime.gateway.http.stream import Stream


class Transport(asyncio.Transport):
    """Keep what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Tell whether the client has left."""
        return self.closing


def _begun(transport: Transport, *, chunked: bool = True) -> Stream:
    writable = asyncio.Event()
    writable.set()
    return Stream(transport, writable, b"head\r\n\r\n", chunked=chunked)


async def test_what_is_there_goes_in_one_write_with_the_head() -> None:
    stream = _begun(transport := Transport())
    await stream.write(b"first")
    await asyncio.sleep(0)
    await stream.write(b"second")
    stream.end()
    assert transport.written == [b"head\r\n\r\n5\r\nfirst\r\n", b"6\r\nsecond\r\n", b"0\r\n\r\n"]


async def test_a_head_waits_for_nothing() -> None:
    stream = _begun(transport := Transport())
    await asyncio.sleep(0)
    assert transport.written == [b"head\r\n\r\n"]
    stream.end()
    assert transport.written[1:] == [b"0\r\n\r\n"]


async def test_an_answer_of_no_bytes_has_a_head_too() -> None:
    _begun(transport := Transport(), chunked=False).end()
    await asyncio.sleep(0)
    assert transport.written == [b"head\r\n\r\n"]


async def test_to_a_client_that_has_left_nothing_is_written() -> None:
    stream = _begun(transport := Transport())
    transport.closing = True
    stream.end_with(b"why")
    await asyncio.sleep(0)
    assert transport.written == []
