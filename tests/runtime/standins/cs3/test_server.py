"""Routes, keys and malformed requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.handoff import contract, fields
from tests.runtime.standins.cs3.flow import DECODE_KEY, MODEL, Gateway, chat_body, signed

POSTED = (contract.RESERVATIONS, contract.CHAT_COMPLETIONS, contract.ABORT)
RESERVATION = {"request_id": "r", "attempt": 1, "model": MODEL, "prompt_tokens": 10, "max_tokens": 10}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["model", "messages", "kv_transfer_params", "max_tokens", "stop", "request_id", "attempt"])
BODIES = (
    st.binary(max_size=20)
    | JSON.map(json.dumps).map(str.encode)
    | st.dictionaries(KEYS, JSON).map(lambda changes: json.dumps(chat_body({}) | changes).encode())
)


async def test_what_needs_no_key(gateway: Gateway) -> None:
    assert (await gateway.ask("GET", contract.HEALTH, key=None)).body == {"status": "ok"}
    metrics = await gateway.ask("GET", contract.METRICS, key=None)
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE tandem_decode_requests_total counter" in metrics.body


@pytest.mark.parametrize("key", [None, "", "wrong", "decode-key2"])
@pytest.mark.parametrize("path", [contract.MODELS, contract.CAPABILITIES, contract.RESERVATIONS + "/x", "/nothing"])
async def test_everything_else_does(gateway: Gateway, path: str, key: str | None) -> None:
    answer = await gateway.ask("GET", path, key=key)
    assert (answer.status, answer.code) == (401, "unauthorized")


async def test_models_and_capabilities(gateway: Gateway) -> None:
    models = (await gateway.ask("GET", contract.MODELS)).body
    assert (models["object"], [model["id"] for model in models["data"]]) == ("list", [MODEL])
    assert (await gateway.ask("GET", contract.CAPABILITIES)).body == {
        "contract": "1",
        "models": [{"id": MODEL, "max_model_len": 8192, "kv_bytes_per_token": 23_040}],
        "handoff": "kv",
        "streaming": "layers",
        "reservation_fill": 0.0,
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("PUT", contract.MODELS, None, 405),
        ("GET", contract.CHAT_COMPLETIONS, None, 405),
        ("POST", contract.CHAT_COMPLETIONS, b" " * (5 * 2**20), 413),
        ("POST", contract.CHAT_COMPLETIONS, b"[" * 100_000, 400),
        ("POST", contract.CHAT_COMPLETIONS, b"{", 400),
        ("POST", contract.RESERVATIONS, RESERVATION | {"attempt": "1"}, 400),
        ("POST", contract.RESERVATIONS, RESERVATION | {"request_id": 1}, 400),
        ("POST", contract.RESERVATIONS, RESERVATION | {"prompt_tokens": 0}, 400),
        ("POST", contract.RESERVATIONS, RESERVATION | {"max_tokens": 8192}, 400),
        ("POST", contract.RESERVATIONS, RESERVATION | {"model": "another"}, 404),
    ],
)
async def test_refusals_have_openais_shape(gateway: Gateway, method: str, path: str, body: Any, status: int) -> None:
    answer = await gateway.ask(method, path, body)
    assert (answer.status, bool(answer.code)) == (status, True)


@given(path=st.sampled_from(POSTED), body=BODIES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_malformed_bodies_are_the_callers_fault(gateway: Gateway, path: str, body: bytes) -> None:
    answer = await gateway.ask("POST", path, body)
    assert 400 <= answer.status < 500, answer.body
    assert answer.code


async def _limited(gateway: Gateway, body: dict[str, Any], milliseconds: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {DECODE_KEY}", fields.TIME_LIMIT_HEADER: milliseconds}
    url = gateway.emulator + contract.CHAT_COMPLETIONS
    async with gateway.http.post(url, json=body, headers=headers) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_ends_at_the_time_limit_and_frees_what_it_held(gateway: Gateway, stream: bool) -> None:
    ended = 'tandem_decode_requests_total{code="deadline_exceeded"}'
    before = await gateway.metric(ended)
    params = signed(await gateway.prefill(), await gateway.reserve(max_tokens=5000))
    body = chat_body(params, max_tokens=5000, temperature=2, seed=1, stream=stream)
    status, text = await _limited(gateway, body, "8000")  # a stream has to begin before
    assert status == (200 if stream else 504)
    last = text.strip().rpartition("data: ")[2]
    assert json.loads(last)["error"]["code"] == "deadline_exceeded"
    await gateway.until_free()
    assert await gateway.metric(ended) == before + 1


async def test_a_time_limit_that_is_over_before_the_kv_has_come_is_a_refusal(gateway: Gateway) -> None:
    params = await gateway.ready()
    status, text = await _limited(gateway, chat_body(params), "1")
    assert (status, json.loads(text)["error"]["code"]) == (504, "deadline_exceeded")
    await gateway.abort(params)  # as a gateway does: the time may have been over before the reservation was in use


async def test_a_time_limit_that_is_none_is_refused(gateway: Gateway) -> None:
    status, text = await _limited(gateway, chat_body({}), "soon")
    assert (status, json.loads(text)["error"]["code"]) == (400, "invalid_request")
