"""Serve ``GET /metrics`` on a port of its own, which no load balancer forwards to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST

from runtime.gateway.api import refusal
from runtime.gateway.http.message import Answer, HttpError, Request
from runtime.gateway.http.routes import Routes
from runtime.gateway.http.server import Server
from runtime.gateway.http.stream import Stream
from runtime.handoff import contract

_END_SECONDS = 1.0


@asynccontextmanager
async def scraped(exposition: Callable[[], bytes], host: str, port: int) -> AsyncIterator[None]:
    """Answer as long as the context lasts; raise ``OSError`` where the address cannot be listened on."""

    async def metrics(_: Request) -> Answer:
        return Answer(exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def handle(request: Request) -> Answer | Stream:
        try:
            return await routes.find(request)(request)
        except HttpError as error:
            return refusal.by_router(request.path, request.method, error)

    routes: Routes[Request] = Routes()
    routes.add("GET", contract.METRICS, metrics)
    server = Server(handle, refusal.unreadable)
    await server.start(host, port)
    try:
        yield
    finally:
        await server.stop(_END_SECONDS)
