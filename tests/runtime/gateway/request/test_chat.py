"""Reading bodies, as pure functions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.request import chat
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["model", "messages", "stream", "max_tokens", "n", "tools", "extra_body", fields.KV_TRANSFER_PARAMS, "tandem"]
)
VALUES = JSON | st.just("m") | st.just([{"role": "user", "content": "x"}])


def read(raw: bytes, max_model_len: int = 100) -> chat.Chat:
    return chat.read(chat.parse(raw), request_id="r", tenant="t", model="m", max_model_len=max_model_len)


@given(st.binary() | st.dictionaries(NAMES, VALUES).map(lambda body: json.dumps(body).encode()))
def test_any_body_is_read_or_refused_by_name(raw: bytes) -> None:
    try:
        request = read(raw)
    except HandoffError as refused:
        json.dumps(refused.body())
        code = refused.code
    else:
        check(request)
        return
    assert code in (Code.INVALID_REQUEST, Code.MODEL_NOT_FOUND, Code.CONTEXT_LENGTH_EXCEEDED)


def check(request: chat.Chat) -> None:
    """Hold what every accepted request promises."""
    assert request.prompt_tokens >= 1
    assert request.max_tokens >= 1
    assert request.prompt_tokens + request.max_tokens <= 100
    for sent in (chat.for_prefill(request.body), chat.with_kv(request.body, {}), request.body):
        json.loads(chat.encode(sent))


@given(st.dictionaries(NAMES | st.sampled_from(["vllm_xargs", "extra_args", "request_id", "kept"]), JSON))
def test_no_handoff_field_survives_where_a_peer_would_read_it(body: dict[str, Any]) -> None:
    def names(value: dict[str, Any]) -> set[str]:
        nested = (value.get(name) for name in ("extra_body", "extra_args", "vllm_xargs"))
        return set(value).union(*(names(inner) for inner in nested if isinstance(inner, dict)))

    deep = {**body, "extra_body": {**body, "vllm_xargs": body}}
    left = chat.stripped(deep)
    assert not names(left) & {fields.KV_TRANSFER_PARAMS, fields.TANDEM, "request_id"}
    assert names(deep) - names(left) <= {fields.KV_TRANSFER_PARAMS, fields.TANDEM, "request_id"} | _inside(deep)


def _inside(body: dict[str, Any]) -> set[str]:
    """Return every name below a removed field: it goes with it."""
    removed = (body.get(name) for name in (fields.KV_TRANSFER_PARAMS, fields.TANDEM, "request_id"))
    return set().union(*(set(value) for value in removed if isinstance(value, dict)))


def test_the_estimate_leaves_room_for_the_answer() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "word " * 400}], "max_tokens": 30}
    assert read(json.dumps(body).encode()).prompt_tokens == 70
    assert chat.estimate_tokens(body) > 400


def test_an_open_limit_reserves_the_documented_default() -> None:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    assert read(raw, 4096).max_tokens == chat.DEFAULT_MAX_TOKENS
    assert read(raw, 100).max_tokens == 50


def test_an_answer_that_would_fill_the_context_is_refused() -> None:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 100}).encode()
    with pytest.raises(HandoffError, match="max_tokens is 100") as caught:
        read(raw)
    assert caught.value.code is Code.CONTEXT_LENGTH_EXCEEDED
