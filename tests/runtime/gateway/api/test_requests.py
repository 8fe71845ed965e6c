"""What clients may send, and how the rest is refused."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from runtime.handoff.contract import CHAT_COMPLETIONS, MODELS
from tests.runtime.gateway.conftest import GATEWAY_KEY, MODEL, Setup

KEY = {"Authorization": f"Bearer {GATEWAY_KEY}"}


async def error(answer: Any) -> dict[str, Any]:
    body = await answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    shaped: dict[str, Any] = body["error"]
    return shaped


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {GATEWAY_KEY}", "Bearer \u00e9\u00df"])
async def test_without_the_key_nothing_is_answered(cs3: Setup, given: str) -> None:
    async with cs3.ask(headers={"Authorization": given}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await error(answer))["code"] == "unauthorized"
    assert cs3.decode.calls() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", CHAT_COMPLETIONS, 405), ("POST", MODELS, 405), ("GET", "/metrics", 404)],
)
async def test_unknown_routes_are_refused_in_openai_s_shape(cs3: Setup, method: str, path: str, status: int) -> None:
    async with cs3.session.request(method, cs3.url + path, headers=KEY) as answer:
        assert answer.status == status
        assert "X-Request-Id" in answer.headers
        assert path in (await error(answer))["message"]


async def test_a_body_beyond_4_mib_is_refused(cs3: Setup) -> None:
    data = io.BytesIO(b" " * (4 * 2**20 + 1))
    async with cs3.session.post(cs3.url + CHAT_COMPLETIONS, headers=KEY, data=data) as answer:
        assert answer.status == 413
        await error(answer)


async def test_a_body_of_3_mib_arrives_whole_at_each_peer(cs3: Setup) -> None:
    text = "word " * (600 * 2**10)
    messages = [{"role": "user", "content": text}]
    data = io.BytesIO(json.dumps({"model": MODEL, "messages": messages}).encode())
    async with cs3.session.post(cs3.url + CHAT_COMPLETIONS, headers=KEY, data=data) as answer:
        assert answer.status == 200
    for peer in (cs3.prefill, cs3.decode):
        assert peer.body(CHAT_COMPLETIONS)["messages"] == messages


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe\xfd",
        b"[" * 200_000,
        b'{"model": NaN}',
        b'{"model":"org/model","messages":[{"role":"user","content":"x"}],"temperature":1e999}',
        b'{"model":"org/model"}',
        b'{"model":"org/model","messages":[]}',
        b'{"model":"org/model","messages":["x"]}',
        b'{"model":"org/model","messages":[{"role":1}]}',
        b'{"model":7,"messages":[{"role":"user"}]}',
    ],
)
async def test_malformed_bodies_are_invalid_requests(cs3: Setup, raw: bytes) -> None:
    async with cs3.session.post(cs3.url + CHAT_COMPLETIONS, headers=KEY, data=raw) as answer:
        assert answer.status == 400
        assert (await error(answer))["code"] == "invalid_request"
    assert cs3.decode.calls() == []


@pytest.mark.parametrize("wrong", [{"stream": "yes"}, {"max_tokens": 0}, {"max_completion_tokens": True}, {"n": 2}])
async def test_wrong_values_are_named(cs3: Setup, wrong: dict[str, Any]) -> None:
    async with cs3.ask(**wrong) as answer:
        assert answer.status == 400
        assert next(iter(wrong)) in (await error(answer))["message"]
    assert cs3.decode.calls() == []


async def test_another_model_is_not_found(cs3: Setup) -> None:
    async with cs3.ask(model="org/other") as answer:
        assert (answer.status, (await error(answer))["code"]) == (404, "model_not_found")


async def test_the_public_model_is_listed(cs3: Setup) -> None:
    async with cs3.session.get(cs3.url + MODELS, headers=KEY) as answer:
        (model,) = (await answer.json())["data"]
    assert (model["id"], model["object"], model["max_model_len"]) == (MODEL, "model", 4096)


async def test_probes_need_no_key_and_ready_means_that_workers_are_known(cs3: Setup) -> None:
    for path, status in (("/health", 200), ("/ready", 200)):
        async with cs3.session.get(cs3.url + path) as answer:
            assert answer.status == status
    cs3.prefill_workers.clear()
    async with cs3.session.get(cs3.url + "/ready") as answer:
        assert answer.status == 503
        assert json.loads(await answer.text())["reason"] == "no prefill worker is known"
