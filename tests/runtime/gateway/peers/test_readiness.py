"""A worker is asked over TLS, past any proxy, and believed only with a proof over the certificate that it shows."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from runtime.gateway.peers.readiness import ready
from runtime.gateway.peers.workers import Address, Worker
from runtime.handoff.certificate import Certificate
from runtime.handoff.worker_status import READY, State
from runtime.prefill import status
from runtime.prefill.keys import WorkerKeys
from runtime.prefill.status import Identity, Status
from tests.ports import free_port
from tests.runtime.gateway.standin_peers import CERTIFICATE, HOST, serving

KEYS = ("new", "old")
OTHER = Certificate.issue(HOST)


@asynccontextmanager
async def worker(*keys: str, state: State = State.READY, address: str = HOST) -> AsyncIterator[tuple[int, WorkerKeys]]:
    """Serve the status port of a worker that knows ``keys``, as the supervisor does."""
    known = WorkerKeys({}, print)
    known.known = keys
    told = Identity(address=address, digest=CERTIFICATE.digest, api_key="hidden", keys=known, versions={})
    port = free_port()
    async with status.serving(Status(state), told, CERTIFICATE.server(), port):
        yield port, known


async def ask(port: int, *keys: str) -> Worker | None:
    return await asyncio.to_thread(ready, Address(HOST, 8100), status_port=port, keys=keys)


STATE = {"state": "ready", "provider": None, "seconds": 0, "state_seconds": 0}
EXPECTED = Worker(Address(HOST, 8100), CERTIFICATE.digest, "hidden")


@pytest.mark.parametrize(
    ("gateway", "its"), [(KEYS, KEYS), (("newer", "new"), KEYS), (KEYS, ("newer", "new")), (("new",), ("new",))]
)
async def test_one_key_in_common_is_enough_so_a_rotation_may_be_noticed_late(
    gateway: tuple[str, ...], its: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    async with worker(*its) as (port, known):
        assert await ask(port, *gateway) == EXPECTED
        assert known._wanted.is_set() is (gateway[0] not in its)  # it looks for the newer key, not for an older one


async def test_without_a_key_in_common_nothing_is_told_and_the_worker_looks_for_a_newer_key() -> None:
    async with worker("other") as (port, known):
        assert await ask(port, *KEYS) is None
        assert known._wanted.is_set()


@pytest.mark.parametrize("state", [State.STARTING, State.SILENT, State.DRAINING])
async def test_one_that_takes_no_requests_is_not_ready(state: State) -> None:
    async with worker(*KEYS, state=state) as (port, _):
        assert await ask(port, *KEYS) is None


async def test_a_proof_for_another_address_is_none() -> None:
    async with worker(*KEYS, address="localhost") as (port, _):
        assert await ask(port, *KEYS) is None


async def test_without_a_proof_the_state_is_all_that_is_told() -> None:
    async with worker(*KEYS) as (port, known):
        reader, writer = await asyncio.open_connection(HOST, port, ssl=ssl._create_unverified_context())  # noqa: S323
        writer.write(f"GET {READY} HTTP/1.1\r\n\r\n".encode())
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        assert json.loads(body) == STATE
        assert not known._wanted.is_set()


async def test_who_passes_questions_on_under_a_certificate_of_his_own_learns_and_proves_nothing() -> None:
    """Stand between the two with another certificate: what the gateway asks is bound to that one."""
    heard: list[str] = []
    async with worker(*KEYS) as (port, _):

        async def relay(request: web.Request) -> web.Response:
            header = request.headers["Authorization"]
            reader, writer = await asyncio.open_connection(HOST, port, ssl=ssl._create_unverified_context())  # noqa: S323
            writer.write(f"GET {READY} HTTP/1.1\r\nAuthorization: {header}\r\n\r\n".encode())
            body = (await reader.read()).partition(b"\r\n\r\n")[2]
            writer.close()
            heard.append(body.decode())
            return web.Response(body=body)

        app = web.Application()
        app.router.add_get(READY, relay)
        async with serving(app, OTHER) as server:
            assert server.port is not None
            assert await ask(server.port, *KEYS) is None
    assert [json.loads(body) for body in heard] == [STATE]


def _reply(status: int, body: Any) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    return answer


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"state": "ready"}),
        (200, {"state": "ready", "key": "k", "proof": "0" * 64}),
        (200, {"state": "ready", "key": "k", "proof": "\u00e9"}),
        (200, {"state": "ready", "key": 1, "proof": 2}),
        (200, []),
        (200, "ready"),
        (200, "[" * 60_000),
        (404, {"error": "no such path"}),
        (302, {}),
    ],
)
async def test_anything_else_is_not_ready(status: int, body: Any) -> None:
    app = web.Application()
    app.router.add_get(READY, _reply(status, body))
    async with serving(app, OTHER) as server:
        assert server.port is not None
        assert await ask(server.port, *KEYS) is None


async def test_plain_http_is_not_ready() -> None:
    app = web.Application()
    app.router.add_get(READY, _reply(200, {"state": "ready", "key": "k", "proof": "p"}))
    async with serving(app) as server:
        assert server.port is not None
        assert await ask(server.port, *KEYS) is None


async def test_a_worker_that_is_not_there_is_not_ready() -> None:
    assert await ask(free_port(), *KEYS) is None
