"""Small real HTTP peers that speak the handoff protocol and remember what they got."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from runtime.handoff import contract, fields
from runtime.handoff.certificate import Certificate
from tests.patience import HUNG_SECONDS

HOST = "127.0.0.1"
CERTIFICATE = Certificate.issue(HOST)
WORKER_KEY = "key-of-this-run"
PROMPT = [7, 8, 9]
CHUNKS = (
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}\n\n',
    b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
)

COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
}
TEXT_COMPLETION = {
    "id": "1",
    "object": "text_completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}],
}


@dataclass(frozen=True)
class Seen:
    """Hold one request that a peer got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Peer:
    """Remember requests and disconnects; ``gates`` hold back answers by path until they are set."""

    seen: list[Seen] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    errors: dict[str, web.Response] = field(default_factory=dict)
    once: set[str] = field(default_factory=set)
    """Which of the errors come once only."""

    def hold(self, path: str) -> asyncio.Event:
        """Hold back answers of ``path``."""
        return self.gates.setdefault(path, asyncio.Event())

    def calls(self) -> list[str]:
        """Return what was asked for, in order."""
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    def body(self, path: str) -> Any:
        """Return the body of the only request to ``path``."""
        (seen,) = (seen for seen in self.seen if seen.path == path)
        return seen.body

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds, with a deadline."""
        async with self.changed, asyncio.timeout(HUNG_SECONDS):
            await self.changed.wait_for(condition)

    async def note(self, request: web.Request) -> None:
        """Remember a request, then wait at its gate; a client that leaves there is remembered as well."""
        raw = await request.read()
        self.seen.append(Seen(request.method, request.path, request.headers, json.loads(raw) if raw else None))
        await self.notify()
        gate = self.gates.get(request.path)
        if gate is not None:
            async with self.notices_leaving(request.path):
                await gate.wait()

    @asynccontextmanager
    async def notices_leaving(self, path: str) -> AsyncIterator[None]:
        """Remember that the client left during the block."""
        try:
            yield
        except (asyncio.CancelledError, ConnectionResetError):
            self.left.append(path)
            await self.notify()
            raise

    async def notify(self) -> None:
        """Wake those who wait for a condition."""
        async with self.changed:
            self.changed.notify_all()


class PrefillPeer(Peer):
    """Answer as a vLLM prefill worker does."""

    changes: Mapping[str, Any] = {}
    said: str = "Hello"
    answer: object = None

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Prefill."""
        await self.note(request)
        if "prefill" in self.errors:
            return _again(self.errors["prefill"])
        params = {
            fields.DO_REMOTE_PREFILL: True,
            fields.DO_REMOTE_DECODE: False,
            fields.REMOTE_ENGINE_ID: "engine-1",
            fields.REMOTE_REQUEST_ID: f"chatcmpl-{request.headers[fields.REQUEST_ID_HEADER]}-0a1b2c3d",
            fields.REMOTE_BLOCK_IDS: [[1, 2, 3]],
            fields.REMOTE_HOST: "127.0.0.1",
            fields.REMOTE_PORT: 5600,
            fields.REMOTE_NUM_TOKENS: 40,
            fields.TP_SIZE: 1,
            **self.changes,
        }
        choice = {"index": 0, "message": {"role": "assistant", "content": self.said}, "finish_reason": "length"}
        answer = {**COMPLETION, "choices": [choice], fields.KV_TRANSFER_PARAMS: params}
        return web.json_response(self.answer or answer)

    async def tokenize(self, request: web.Request) -> web.StreamResponse:
        """Tokenize: every prompt has three tokens."""
        await self.note(request)
        return web.json_response({"count": len(PROMPT), "max_model_len": 4096, "tokens": PROMPT})

    def application(self) -> web.Application:
        """Return the peer's routes."""
        app = web.Application(client_max_size=2**23)
        for path in (contract.CHAT_COMPLETIONS, contract.COMPLETIONS):
            app.router.add_post(path, self.complete)
        app.router.add_post("/tokenize", self.tokenize)
        return app


class DecodePeer(Peer):
    """Answer as a decode endpoint of the contract does."""

    chunks: tuple[bytes, ...] = CHUNKS
    completion: Mapping[str, Any] = COMPLETION
    text_completion: Mapping[str, Any] = TEXT_COMPLETION
    rest: tuple[bytes, ...] = ()
    """What it goes on with."""
    breaks_rest = False
    dies = False
    waits_after_first = False
    invitation: object = None
    completed = 0

    async def reserve(self, request: web.Request) -> web.StreamResponse:
        """Reserve."""
        await self.note(request)
        if "reserve" in self.errors:
            return _again(self.errors["reserve"])
        invited = {"stream": self.invitation} if self.invitation else {}
        return web.json_response({"reservation_id": "r/1", "ttl_ms": 60000} | invited, status=201)

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        """Withdraw a reservation."""
        await self.note(request)
        return web.Response(status=204)

    async def abort(self, request: web.Request) -> web.StreamResponse:
        """Abort a handoff."""
        await self.note(request)
        return web.Response(status=202)

    async def decode(self, request: web.Request) -> web.StreamResponse:
        """Decode."""
        await self.note(request)
        if "decode" in self.errors:
            return _again(self.errors.pop("decode") if "decode" in self.once else self.errors["decode"])
        headers = {contract.SERVER_TIMING: "transfer;dur=3.4", contract.KV_BYTES_HEADER: "921600", "X-Other": "1"}
        if not self.seen[-1].body.get("stream"):
            return await self._whole(request, headers)
        response = web.StreamResponse(headers={**headers, "Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        goes_on = bool(self.rest) and has_begun(self.seen[-1].body)
        async with self.notices_leaving("stream"):
            for chunk in self.rest if goes_on else self.chunks:
                await response.write(chunk)
                if self.waits_after_first and not goes_on:
                    await self.hold("stream").wait()
            self.completed += 1
        if self.breaks_rest if goes_on else self.dies:
            _cut(request)
        return response

    async def _whole(self, request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
        if not self.dies:
            completion = self.text_completion if request.path == contract.COMPLETIONS else self.completion
            return web.json_response(completion, headers=headers)
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"id"')
        _cut(request)
        return response

    def application(self) -> web.Application:
        """Return the peer's routes."""
        app = web.Application(client_max_size=2**23)
        for path in (contract.CHAT_COMPLETIONS, contract.COMPLETIONS):
            app.router.add_post(path, self.decode)
        app.router.add_post(contract.RESERVATIONS, self.reserve)
        app.router.add_delete(contract.RESERVATIONS + "/{id}", self.withdraw)
        app.router.add_post(contract.ABORT, self.abort)
        return app


def has_begun(body: Mapping[str, Any]) -> bool:
    """Tell whether an answer so far is in a request, or behind its prompt, which has three tokens always."""
    prompt = body.get("prompt")
    return fields.RECEIVED in body or (isinstance(prompt, list) and len(prompt) > len(PROMPT))


def _again(answer: web.Response) -> web.Response:
    """Return an answer like that one, which aiohttp would send once only."""
    headers = {
        name: answer.headers[name] for name in answer.headers if name not in ("Content-Length", "Date", "Server")
    }
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _cut(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


@asynccontextmanager
async def serving(
    app: web.Application, certificate: Certificate | None = None, port: int = 0
) -> AsyncIterator[TestServer]:
    """Serve on 127.0.0.1, by TLS with a certificate; every request still running at the end is cancelled."""
    server = TestServer(app, port=port)
    await server.start_server(shutdown_timeout=0.1, ssl=certificate.server() if certificate else None)
    try:
        yield server
    finally:
        assert server.runner is not None
        assert server.runner.server is not None
        connected = [each.transport for each in server.runner.server.connections if each.transport is not None]
        await server.close()
        for transport in connected:
            transport.abort()  # by TLS it would wait for a client to leave as well, and the loop ends before that
        for _ in range(3):  # they end in the loop's next turns
            await asyncio.sleep(0)
