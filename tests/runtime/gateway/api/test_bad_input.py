"""Whatever comes in by the wire is answered in a client's own shape, and nothing stays behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from runtime.gateway.api import body as bodies
from runtime.gateway.api.http_server import ANSWERED
from runtime.gateway.http.client_connection import HEAD_SECONDS, ClientConnection
from runtime.handoff import contract
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.conftest import GATEWAY_KEY, Captured, Forward, Setup
from tests.runtime.gateway.standin_peers import CHUNKS

KEY = f"Authorization: Bearer {GATEWAY_KEY}\r\n".encode()
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + KEY


@pytest.fixture
def port(cs3: Setup) -> int:
    """Return the gateway's port."""
    return int(cs3.url.rpartition(":")[2])


Later = Callable[[float, int], Awaitable[None]]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, forward: Forward) -> Later:
    """Return what sets the clock forward, once the gateway has read so many bytes and does what it can with them."""
    read, receive = 0, ClientConnection.data_received

    def counted(connection: ClientConnection, data: bytes) -> None:
        nonlocal read
        receive(connection, data)
        read += len(data)

    async def later(seconds: float, sent: int) -> None:
        while read < sent:
            await asyncio.sleep(0.001)  # polled, since nothing announces it
        for _ in range(20):  # turns of the loop, more than its handler takes to wait for the rest
            await asyncio.sleep(0)
        forward(seconds)

    monkeypatch.setattr(ClientConnection, "data_received", counted)
    return later


async def at_once(_: int) -> None:
    """Do nothing before the answer is read."""


async def sent(
    port: int, *parts: bytes, then: Callable[[int], Awaitable[None]] = at_once
) -> tuple[int, dict[str, Any]]:
    """Send bytes and return the status and body of an answer after which the connection ends, with a deadline.

    ``then`` is told how many were sent.
    """
    async with asyncio.timeout(HUNG_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            await then(sum(map(len, parts)))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head.split()[1]), json.loads(await reader.readexactly(length))
        finally:
            writer.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 secret\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /secret HTTP/9.9\r\n\r\n",
        POST + b"X-Long: " + b"secret" * 2000 + b"\r\n\r\n",
        POST + b"".join(b"X-%d: secret\r\n" % number for number in range(200)) + b"\r\n",
        POST + b"".join(b"X-%d: %b\r\n" % (number, b"secret" * 400) for number in range(100)) + b"\r\n",
        POST + b"bad header: secret\r\n\r\n",
        POST + b"X: a\x00secret\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nsecret",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nsecret",
        POST + b"Content-Length: -1\r\n\r\nsecret",
        b"GET /" + b"secret" * 2000 + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_in_openai_s_shape_unquoted(port: int, raw: bytes, log: Captured) -> None:
    status, body = await sent(port, raw)
    assert status == 400
    assert body["error"]["code"] == "invalid_request"
    assert "HTTP" in body["error"]["message"]  # for none of them it is what the body lacks
    assert "secret" not in json.dumps(body)
    assert "secret" not in log.text()


async def test_a_header_without_end_is_refused_once_it_is_too_long(port: int) -> None:
    status, body = await sent(port, POST, b"X-Endless: ", *(b"secret" * 20_000 for _ in range(10)))
    assert (status, "HTTP" in body["error"]["message"]) == (400, True)


async def test_a_head_that_comes_too_slowly_is_cut_off(port: int, later: Later) -> None:
    status, body = await sent(port, POST, b"X-Slow", then=partial(later, HEAD_SECONDS + 1))
    assert (status, body["error"]["code"]) == (408, "invalid_request")


async def test_half_a_head_behind_a_request_is_cut_off_as_well(port: int, later: Later) -> None:
    raw = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + POST + b"X-Slow"
    async with asyncio.timeout(HUNG_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(raw)
            assert b" 200 " in await reader.readuntil(b"\r\n")
            await later(HEAD_SECONDS + 1, len(raw))
            assert b"HTTP/1.1 408 " in await reader.read()
        finally:
            writer.close()


async def test_a_head_in_pieces_and_a_body_after_it_are_no_slow_head(
    port: int, monkeypatch: pytest.MonkeyPatch, later: Later
) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 60)
    head = (POST, b"Content-Length: 9\r\n", b"\r\n")
    status, body = await sent(port, *head, b"{", then=partial(later, 61))
    assert (status, body["error"]["message"]) == (400, "the body did not arrive within 60 s")


@pytest.mark.parametrize("path", [*ANSWERED, "/model/org%2Fmodel/converse"])
async def test_a_body_without_end_is_refused_once_it_is_too_large(port: int, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode() + KEY + b"\r\n"
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    status, _ = await sent(port, head, *(chunk for _ in range(5)))
    assert status == (400 if path.startswith("/model/") else 413)


@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (b"\xff\xfe\x00",),
        (b"data: {",),
        (CHUNKS[0], b'data: {"choices":'),
        (CHUNKS[0], b"event: x\n\n"),
        (b"<html>502</html>",),
        (b"data: " + b"x" * 2**21,),
    ],
)
async def test_a_stream_that_is_none_or_stops_in_mid_event_ends_in_an_error_event(
    cs3: Setup, chunks: tuple[bytes, ...], log: Captured
) -> None:
    cs3.decode.chunks = chunks
    async with asyncio.timeout(HUNG_SECONDS), cs3.ask(stream=True) as answer:
        received = await answer.read()
    *before, last = received.removesuffix(b"\n\n").split(b"\n\n")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "decode_failed"
    assert [event + b"\n\n" for event in before][:1] == list(chunks[:1] if CHUNKS[0] in chunks else ())
    assert log.requests()[0]["code"] == "decode_failed"


async def test_forged_peers_and_handoff_fields_reach_nobody(cs3: Setup) -> None:
    forged = {"remote_host": "169.254.169.254", "remote_port": 80, "tandem": {"ticket": "forged"}}
    headers = {"X-Request-Id": "forged", "X-Tandem-KV-Bytes": "forged", "X-Forwarded-Host": "forged", "Host": "forged"}
    body = {"kv_transfer_params": forged, "extra_body": {"kv_transfer_params": forged}, "tandem": forged}
    async with cs3.ask(headers=headers, **body) as answer:
        assert answer.status == 200
    everything = [*cs3.prefill.seen, *cs3.decode.seen]
    assert {seen.path for seen in everything} >= {contract.CHAT_COMPLETIONS, contract.RESERVATIONS}
    for seen in everything:
        told = json.dumps([seen.body, dict(seen.headers)])
        assert "forged" not in told
        assert "169.254" not in told
