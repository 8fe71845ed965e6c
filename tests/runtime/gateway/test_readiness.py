"""A worker is asked over HTTP, past any proxy."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from runtime.gateway.readiness import ready
from runtime.gateway.workers import Worker
from runtime.handoff.worker_status import READY
from tests.runtime.gateway.peers import serving

HOST = "127.0.0.1"


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False), (404, False)])
async def test_what_the_worker_says_counts(status: int, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get(READY, answer)
    async with serving(app) as server:
        assert server.port is not None
        assert await asyncio.to_thread(ready, Worker(HOST, 1), status_port=server.port) is expected


def test_a_worker_that_is_not_there_is_not_ready() -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    assert not ready(Worker(HOST, 1), status_port=port)
