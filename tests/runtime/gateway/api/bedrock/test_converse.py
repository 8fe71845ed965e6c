"""Converse's requests as chat completions: what has a counterpart is kept, the rest is refused by name."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.api.bedrock.converse import chat_body
from runtime.handoff.contract import Code, HandoffError

HELLO = {"role": "user", "content": [{"text": "Hello"}]}
SPEC = {"name": "add", "description": "adds", "inputSchema": {"json": {"type": "object"}}}
TOOLS = {"tools": [{"toolSpec": SPEC}]}


def body(*messages: Any, stream: bool = False, **members: Any) -> dict[str, Any]:
    return chat_body({"messages": list(messages) or [HELLO], **members}, model="m", stream=stream)


def test_the_smallest_request() -> None:
    assert body() == {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


def test_a_stream_tells_its_usage() -> None:
    assert body(stream=True).items() >= {"stream": True, "stream_options": {"include_usage": True}}.items()


def test_sampling_and_system() -> None:
    config = {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]}
    made = body(system=[{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}], inferenceConfig=config)
    assert made["messages"][0] == {"role": "system", "content": "a\nb"}
    assert made.items() >= {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9}.items()
    assert made["stop"] == ["x"]


def test_a_tool_s_use_and_result() -> None:
    use = {"toolUse": {"toolUseId": "t1", "name": "add", "input": {"a": 1}}}
    thought = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}
    result = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"sum": 2}}, {"text": "ok"}]}}
    failed = {"toolResult": {"toolUseId": "t2", "content": [], "status": "error"}}
    made = body(
        HELLO,
        {"role": "assistant", "content": [thought, {"text": "Wait"}, use]},
        {"role": "user", "content": [result, failed, {"text": "Go on"}]},
        toolConfig={**TOOLS, "toolChoice": {"tool": {"name": "add"}}},
    )
    call = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    assert made["messages"][1:] == [
        {"role": "assistant", "content": "Wait", "tool_calls": [call], "reasoning": "hm"},
        {"role": "tool", "tool_call_id": "t1", "content": '{"sum":2}\nok'},
        {"role": "tool", "tool_call_id": "t2", "content": "the tool failed"},
        {"role": "user", "content": "Go on"},
    ]
    function = {"name": "add", "parameters": {"type": "object"}, "description": "adds"}
    assert made["tools"] == [{"type": "function", "function": function}]
    assert made["tool_choice"] == {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(("choice", "expected"), [({"auto": {}}, "auto"), ({"any": {}}, "required")])
def test_the_choice_of_a_tool(choice: dict[str, Any], expected: str) -> None:
    assert body(toolConfig={**TOOLS, "toolChoice": choice})["tool_choice"] == expected


def test_a_schema_for_the_answer() -> None:
    asked = {"jsonSchema": {"schema": '{"type":"object"}', "name": "n"}}
    made = body(outputConfig={"textFormat": {"type": "json_schema", "structure": asked}, "effort": "low"})
    schema = {"name": "n", "schema": {"type": "object"}}
    assert made["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert made["reasoning_effort"] == "low"


def test_a_model_s_own_fields_are_passed_on() -> None:
    assert body(additionalModelRequestFields={"top_k": 5})["top_k"] == 5


def test_what_asks_for_nothing_else_is_accepted() -> None:
    made = body(
        performanceConfig={"latency": "standard"}, serviceTier={"type": "default"}, requestMetadata={"team": "a"}
    )
    assert made == body()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "the body.messages is None: a list is needed"),
        ({"messages": []}, "messages has no user message"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\].content is None"),
        ({"messages": [{"role": "robot", "content": []}]}, r"messages\[0\].role is 'robot'"),
        ({"messages": [{"role": ["user"], "content": []}]}, r"messages\[0\].role is \['user'\]"),
        ({"messages": [{"role": "user", "content": []}]}, r"messages\[0\].content says nothing"),
        ({"messages": [{"role": "user", "content": [{"image": {}}]}]}, r"content\[0\] has 'image', which is not supp"),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, r"content\[0\].text is 1: a string is needed"),
        ({"messages": [{"role": "user", "content": [{}]}]}, r"content\[0\] has 0 members: exactly one of"),
        ({"messages": [{"role": "user", "content": [{"text": "a", "toolResult": {}}]}]}, "has 2 members"),
        ({"messages": [{"role": "user", "content": "Hello"}]}, r"content is 'Hello': a list is needed"),
        ({"messages": [HELLO], "guardrailConfig": {}}, "the body has 'guardrailConfig', which is not supported"),
        ({"messages": [HELLO], "performanceConfig": {"latency": "optimized"}}, "performanceConfig is"),
        ({"messages": [HELLO], "inferenceConfig": {"topK": 1}}, "inferenceConfig has 'topK'"),
        ({"messages": [HELLO], "additionalModelRequestFields": {"model": "x", "n": 2}}, "has model, n: use Converse's"),
        ({"messages": [HELLO], "toolConfig": {"tools": [{"systemTool": {"name": "x"}}]}}, r"tools\[0\] has 'systemToo"),
        ({"messages": [HELLO], "toolConfig": {"tools": [{"toolSpec": {"name": "x"}}]}}, "inputSchema is None"),
        (
            {
                "messages": [HELLO],
                "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}},
            },
            "schema is not JSON",
        ),
    ],
)
def test_what_cannot_be_served_is_refused(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(HandoffError, match=message) as caught:
        chat_body(request_, model="m", stream=False)
    assert caught.value.code is Code.INVALID_REQUEST


_NAMES = (
    "role content text toolUse toolResult toolUseId name input json status toolSpec inputSchema tools toolChoice tool "
    "reasoningContent reasoningText user structure type"
)
_NAME = st.sampled_from(_NAMES.split())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAME, inner, max_size=3),
    max_leaves=12,
)
_BODY = st.dictionaries(st.sampled_from(["messages", "system", "toolConfig", "inferenceConfig", "outputConfig"]), _JSON)


@given(_BODY)
def test_any_body_is_read_or_refused(request_: dict[str, Any]) -> None:
    with contextlib.suppress(HandoffError):
        json.dumps(chat_body(request_, model="m", stream=True))
