"""Measure what TLS adds on the gateway's way to a peer: a new connection, a kept one, an event of a stream.

One process serves and asks over the loopback interface, with the certificate and the client of production; each figure
is the median of several runs, plain and by TLS in turn.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from aiohttp import web

from runtime.gateway.http.client import HttpClient
from runtime.handoff.certificate import Certificate

HOST = "127.0.0.1"
RUNS = 7
REQUESTS = 200
EVENTS = 20_000
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
BODY = b"x" * 4096


async def _whole(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"{}")


async def _closing(request: web.Request) -> web.Response:
    await request.read()
    response = web.Response(body=b"{}")
    response.force_close()
    return response


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(EVENTS):
        await response.write(EVENT)
    return response


async def _ask(client: HttpClient, url: str, pin: str | None, times: int) -> float:
    """Return seconds of CPU, of both sides, a request."""
    began = time.process_time()
    for _ in range(times):
        with await client.ask("POST", url, headers={}, body=BODY, pin=pin) as response:
            while await response.take():
                pass
    return (time.process_time() - began) / times


async def main() -> None:
    """Print microseconds of CPU, plain, by TLS, and the difference."""
    app = web.Application()
    for path, handler in (("/kept", _whole), ("/new", _closing), ("/stream", _stream)):
        app.router.add_post(path, handler)
    certificate = Certificate.issue(HOST)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        sites = [
            web.TCPSite(runner, HOST, port, ssl_context=tls) for port, tls in ((0, None), (0, certificate.server()))
        ]
        for site in sites:
            await site.start()
        ports = [address[1] for address in runner.addresses]
        client = HttpClient()
        stack.push_async_callback(client.close)
        ways = [(f"http://{HOST}:{ports[0]}", None), (f"https://{HOST}:{ports[1]}", certificate.digest)]
        print(f"{'CPU, both sides':<22}{'plain µs':>10}{'TLS µs':>10}{'adds µs':>10}")
        for name, path, times, parts in (
            ("request, kept", "/kept", REQUESTS, 1),
            ("request, new", "/new", REQUESTS, 1),
            ("event of a stream", "/stream", 1, EVENTS),
        ):
            await _row(name, [_measured(client, url + path, pin, times) for url, pin in ways], parts)


def _measured(client: HttpClient, url: str, pin: str | None, times: int) -> Callable[[], Awaitable[float]]:
    return lambda: _ask(client, url, pin, times)


async def _row(name: str, ways: list[Callable[[], Awaitable[float]]], parts: int) -> None:
    taken: list[list[float]] = [[], []]
    for _ in range(RUNS):
        for seconds, way in zip(taken, ways, strict=True):
            seconds.append(await way() / parts * 1e6)
    plain, secure = map(statistics.median, taken)
    print(f"{name:<22}{plain:>10.1f}{secure:>10.1f}{secure - plain:>10.1f}")


if __name__ == "__main__":
    asyncio.run(main())
