"""How full the endpoint's KV memory is."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from runtime.gateway.http.client import HttpClient
from runtime.gateway.peers import fill
from runtime.handoff import background, contract
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.conftest import Captured
from tests.runtime.gateway.standin_peers import serving


@pytest.mark.parametrize("told", [0, 0.25, 1])
def test_a_share_is_read(told: float) -> None:
    assert fill.share(json.dumps({"contract": "1", "reservation_fill": told}).encode()) == told


_VALUES = ("1.1", "-1", "true", "NaN", '"half"')


@pytest.mark.parametrize("told", ["", "[]", "{}", *(f'{{"reservation_fill": {value}}}' for value in _VALUES)])
def test_anything_else_is_no_share(told: str) -> None:
    with pytest.raises(ValueError, match=r"reservation_fill|Expecting"):
        fill.share(told.encode())


async def test_the_endpoint_is_asked_again_and_again_also_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, log: Captured
) -> None:
    monkeypatch.setattr(fill, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(fill, "AGAIN_SECONDS", 0.01)
    answers = iter([{"reservation_fill": 0.5}, {}, {}, {"reservation_fill": 0.75}])
    keys: list[str] = []

    async def capabilities(request: web.Request) -> web.Response:
        keys.append(request.headers["Authorization"])
        return web.json_response(next(answers, {"reservation_fill": 1.0}))

    app = web.Application()
    app.router.add_get(contract.CAPABILITIES, capabilities)
    told: list[float] = []
    full = asyncio.Event()

    def filled(share: float) -> None:
        told.append(share)
        if share == 1.0:
            full.set()

    async with serving(app) as server:
        client = HttpClient()
        endpoint = f"http://127.0.0.1:{server.port}"
        async with background.running(fill.watch(client, endpoint, filled, key=lambda: "decode-key")):
            await asyncio.wait_for(full.wait(), HUNG_SECONDS)
        await client.close()
    assert told[:3] == [0.5, 0.75, 1.0]
    assert set(keys) == {"Bearer decode-key"}
    assert log.text().count("reservation_fill_unknown") == 1
