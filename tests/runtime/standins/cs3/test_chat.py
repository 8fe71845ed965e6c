"""Bodies of chat completions: what is read, and what is refused by name."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.contract import Code, HandoffError
from runtime.standins.cs3.chat import ChatRequest, read_object
from runtime.standins.engine.sampling import Sampling

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["model", "messages", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "n", "tools", "logit_bias"]
)


def refusal(body: dict[str, Any]) -> str:
    with pytest.raises(HandoffError) as caught:
        ChatRequest.from_body(body)
    assert caught.value.code is Code.INVALID_REQUEST
    return str(caught.value)


def test_what_is_not_said_is_as_in_openais_api() -> None:
    request = ChatRequest.from_body(BODY | {"stop": None, "n": 1, "tools": [], "user": "someone"})
    assert request == ChatRequest(
        model="m",
        messages=BODY["messages"],
        max_tokens=None,
        sampling=Sampling(temperature=1.0),
        stop=(),
        stream=False,
        include_usage=False,
        return_token_ids=False,
        kv_transfer_params=None,
    )


def test_everything_that_can_be_said_is_read() -> None:
    request = ChatRequest.from_body(
        BODY
        | {"max_tokens": 3, "max_completion_tokens": 5, "temperature": 0, "top_p": 0.5, "seed": -1, "stop": "x"}
        | {"stream": True, "stream_options": {"include_usage": True}, "kv_transfer_params": {"a": 1}}
    )
    assert (request.max_tokens, request.stop, request.stream, request.include_usage) == (5, ("x",), True, True)
    assert request.sampling == Sampling(temperature=0, top_p=0.5, seed=-1)
    assert request.kv_transfer_params == {"a": 1}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n": 2}, "n is 2"),
        ({"tools": [{"type": "function"}]}, "tools is"),
        ({"logprobs": 1}, "logprobs is 1"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs is 21"),
        ({"response_format": {"type": "json_schema"}}, "response_format is"),
        ({"presence_penalty": 2.5}, "presence_penalty is 2.5"),
        ({"frequency_penalty": "x"}, "frequency_penalty is 'x'"),
        ({"min_tokens": 1}, "'min_tokens' is not supported"),
        ({"temperature": 2.5}, "temperature is 2.5"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0}, "top_p is 0"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": True}, "max_tokens is True"),
        ({"stop": ["a", ""]}, "stop is"),
        ({"stop": list("abcde")}, "stop has 5"),
        ({"stream": "yes"}, "stream is 'yes'"),
        ({"return_token_ids": 1}, "return_token_ids is 1"),
        ({"stream_options": {"include_usage": 1}}, "include_usage is 1"),
        ({"model": ""}, "model is empty"),
        ({"messages": "hi"}, "messages is 'hi'"),
    ],
)
def test_what_would_change_the_answer_or_is_malformed_is_refused_by_name(change: dict[str, Any], told: str) -> None:
    assert told in refusal(BODY | change)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"1" * 5000])
def test_a_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(HandoffError) as caught:
        read_object(raw)
    assert caught.value.code is Code.INVALID_REQUEST


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_any_json_gives_a_request_or_a_refusal_of_ours(changes: dict[str, Any]) -> None:
    body = read_object(json.dumps(BODY | changes).encode())
    with suppress(HandoffError):
        assert ChatRequest.from_body(body).model
