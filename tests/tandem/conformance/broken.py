"""An endpoint that breaks one clause at a time: a proxy before the emulator that lies about one thing."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import web

from runtime.handoff import contract, fields
from runtime.handoff.contract import Code

Handler = Callable[["Proxy", web.Request], Awaitable[web.StreamResponse]]
ANSWER: Final[dict[str, Any]] = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Red."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
_IDS: Final = re.compile(rb'"token_ids":\[[0-9, ]*\]')


@dataclass
class Proxy:
    """Pass requests on to ``endpoint``; ``key`` is the one that it asks for."""

    endpoint: str
    key: str
    http: aiohttp.ClientSession
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    unread: int = 0
    """Answers that were begun, and not read to their end."""

    async def pass_on(
        self, request: web.Request, *, body: object = None, authorized: bool = False
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the endpoint's answer."""
        raw = await request.read() if body is None else json.dumps(body).encode()
        kept = ("Authorization", "Content-Type")
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        headers |= {"Authorization": f"Bearer {self.key}"} if authorized else {}
        async with self.http.request(request.method, self.endpoint + request.path, data=raw, headers=headers) as answer:
            hop = ("Transfer-Encoding", "Content-Length", "Content-Encoding")
            received = {name: value for name, value in answer.headers.items() if name not in hop}
            return answer.status, received, await answer.read()


async def honest(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    status, headers, body = await proxy.pass_on(request)
    return web.Response(status=status, headers=headers, body=body)


def answering(code: Code) -> Handler:
    """Answer where the endpoint would refuse with ``code``."""

    async def handle(proxy: Proxy, request: web.Request) -> web.StreamResponse:
        status, headers, body = await proxy.pass_on(request)
        if f'"{code.value}"'.encode() in body and request.path == contract.CHAT_COMPLETIONS:
            return web.json_response(ANSWER)
        return web.Response(status=status, headers=headers, body=body)

    return handle


def changed(change: Callable[[bytes], bytes], *, path: str) -> Handler:
    """Change what is answered on a path."""

    async def handle(proxy: Proxy, request: web.Request) -> web.StreamResponse:
        status, headers, body = await proxy.pass_on(request)
        return web.Response(status=status, headers=headers, body=change(body) if request.path == path else body)

    return handle


def swallowing(method: str, path: str, status: int) -> Handler:
    """Acknowledge some calls without doing them."""

    async def handle(proxy: Proxy, request: web.Request) -> web.StreamResponse:
        if request.method == method and request.path.startswith(path):
            return web.json_response({}, status=status)
        return await honest(proxy, request)

    return handle


def forgetting(*names: str) -> Handler:
    """Begin anew what counts an answer's tokens, where another endpoint began it."""

    async def handle(proxy: Proxy, request: web.Request) -> web.StreamResponse:
        if request.path != contract.CHAT_COMPLETIONS or fields.RECEIVED not in (asked := await request.json()):
            return await honest(proxy, request)
        body = {name: value for name, value in asked.items() if name not in names}
        status, headers, answer = await proxy.pass_on(request, body=body)
        return web.Response(status=status, headers=headers, body=answer)

    return handle


async def open_to_all(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    status, headers, body = await proxy.pass_on(request, authorized=True)
    return web.Response(status=status, headers=headers, body=body)


async def forgetful(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    if request.path != contract.RESERVATIONS:
        return await honest(proxy, request)
    asked = await request.json() | {"request_id": uuid.uuid4().hex}
    status, headers, body = await proxy.pass_on(request, body=asked)
    return web.Response(status=status, headers=headers, body=body)


async def boundless(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    status, headers, body = await proxy.pass_on(request)
    if status == 429:
        return web.json_response({"error": {"code": "busy"}}, status=503)
    return web.Response(status=status, headers=headers, body=body)


async def silent(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    """Tell nobody what crossed the wire."""
    status, headers, body = await proxy.pass_on(request)
    headers.pop(contract.KV_BYTES_HEADER, None)
    return web.Response(status=status, headers=headers, body=body)


async def dogged(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    """Hold memory for answers whose clients have left, as its metrics tell."""
    if request.path == contract.METRICS:
        status, headers, body = await proxy.pass_on(request)
        told = re.sub(rb"(?m)^tandem_decode_active .*$", b"tandem_decode_active %d" % proxy.unread, body)
        return web.Response(status=status, headers=headers, body=told)
    if request.path != contract.CHAT_COMPLETIONS:
        return await honest(proxy, request)
    proxy.unread += 1
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    _, _, body = await proxy.pass_on(request)
    await response.write(body)
    proxy.unread -= 1
    return response


async def one_by_one(proxy: Proxy, request: web.Request) -> web.StreamResponse:
    """Serve no answer while another is being read."""
    if request.path != contract.CHAT_COMPLETIONS:
        return await honest(proxy, request)
    async with proxy.lock:
        _, headers, body = await proxy.pass_on(request)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await asyncio.sleep(30)
        await response.write(body)
        return response


BROKEN: Final[dict[str, tuple[Handler, str]]] = {
    "capabilities": (
        changed(lambda body: body.replace(b'"contract": "1"', b'"contract": "2"'), path=contract.CAPABILITIES),
        "contract is '2'",
    ),
    "authorization": (open_to_all, "says (401, 'unauthorized')"),
    "reserve": (forgetful, "given a second reservation"),
    "release": (swallowing("DELETE", contract.RESERVATIONS, 204), "answered (200, '')"),
    "overflow": (boundless, "answered (503, 'busy')"),
    "decode": (silent, f"{contract.KV_BYTES_HEADER} is ''"),
    "stream": (
        changed(lambda body: body.replace(b"data: [DONE]\n\n", b""), path=contract.CHAT_COMPLETIONS),
        "the stream ends without [DONE]",
    ),
    "continuation": (
        changed(lambda body: _IDS.sub(b'"token_ids":[1]', body), path=contract.CHAT_COMPLETIONS),
        "it goes on with",
    ),
    "completion": (
        changed(lambda body: _IDS.sub(b'"token_ids":[1]', body), path=contract.COMPLETIONS),
        "gone on with after 1 tokens it is",
    ),
    "counting": (forgetting("presence_penalty", "frequency_penalty"), "it goes on with"),
    "ticket": (answering(Code.TICKET_INVALID), "says (403, 'ticket_invalid')"),
    "single-use": (answering(Code.RESERVATION_UNKNOWN), "says (409, 'reservation_unknown')"),
    "foreign": (answering(Code.KV_FOREIGN), "says (409, 'kv_foreign')"),
    "incomplete": (answering(Code.KV_INCOMPLETE), "says (400, 'kv_incomplete')"),
    "layout": (answering(Code.KV_LAYOUT), "says (409, 'kv_layout')"),
    "corrupt": (answering(Code.KV_CORRUPT), "says (502, 'kv_corrupt')"),
    "layers": (answering(Code.KV_CORRUPT), "says (502, 'kv_corrupt')"),
    "stale": (answering(Code.KV_STALE), "says (409, 'kv_stale')"),
    "abort": (swallowing("POST", contract.ABORT, 202), "is still held"),
    "disconnect": (dogged, "is still held"),
    "slow-consumer": (one_by_one, "held up another"),
    "expiry": (answering(Code.RESERVATION_UNKNOWN), "says (409, 'reservation_unknown')"),
}
"""What breaks each clause, and what the kit must say to that."""


@asynccontextmanager
async def broken(endpoint: str, key: str, handler: Handler) -> AsyncIterator[str]:
    """Yield the URL of an endpoint that is right but for ``handler``."""
    async with aiohttp.ClientSession() as http:
        proxy = Proxy(endpoint, key, http)
        app = web.Application()

        async def serve(request: web.Request) -> web.StreamResponse:
            return await handler(proxy, request)

        app.router.add_route("*", "/{path:.*}", serve)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # aiohttp tells it nowhere else
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()
