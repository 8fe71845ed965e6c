"""Serve ``GET /metrics`` on a port of its own, which no load balancer forwards to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from runtime.handoff import contract


@asynccontextmanager
async def scraped(exposition: Callable[[], bytes], host: str, port: int) -> AsyncIterator[None]:
    """Answer as long as the context lasts; raise ``OSError`` where the address cannot be listened on."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get(contract.METRICS, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
