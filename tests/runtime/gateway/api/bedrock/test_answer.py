"""Answers in Bedrock's words: whole, and event by event."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from runtime.gateway.api.bedrock.answer import converse, token_counts
from runtime.gateway.api.bedrock.converse_stream import ConverseEvents
from runtime.gateway.api.bedrock.fault import FAULTS, by_status
from runtime.gateway.api.bedrock.invoke import METRICS, InvokeEvents, chat_body
from runtime.handoff.contract import Code, HandoffError

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COUNTED = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}


def completion(message: dict[str, Any], reason: str = "stop", **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": reason, **choice}], "usage": USAGE}


def call(arguments: str) -> dict[str, Any]:
    return {"id": "t1", "type": "function", "function": {"name": "add", "arguments": arguments}}


def test_a_text_is_a_block() -> None:
    assert converse(completion({"content": "Hi"}), 7) == {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
        "stopReason": "end_turn",
        "usage": COUNTED,
        "metrics": {"latencyMs": 7},
    }


def test_reasoning_and_tools_are_blocks() -> None:
    answer = converse(
        completion({"content": None, "reasoning": "hm", "tool_calls": [call('{"a":1}')]}, "tool_calls"), 1
    )
    assert answer["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm"}}},
        {"toolUse": {"toolUseId": "t1", "name": "add", "input": {"a": 1}}},
    ]
    assert answer["stopReason"] == "tool_use"


def test_arguments_that_are_no_json_are_told() -> None:
    answer = converse(completion({"content": "x", "tool_calls": [call("{")]}, "tool_calls"), 1)
    assert (answer["output"]["message"]["content"], answer["stopReason"]) == ([{"text": "x"}], "malformed_tool_use")


@pytest.mark.parametrize(
    ("reason", "more", "expected"),
    [
        ("stop", {"stop_reason": "END"}, "stop_sequence"),
        ("stop", {"stop_reason": 128009}, "end_turn"),
        ("length", {}, "max_tokens"),
        ("content_filter", {}, "content_filtered"),
    ],
)
def test_why_an_answer_ended(reason: str, more: dict[str, Any], expected: str) -> None:
    assert converse(completion({"content": "x"}, reason, **more), 1)["stopReason"] == expected


def test_cached_tokens_are_told() -> None:
    given = completion({"content": "x"}) | {"usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 2}}}
    assert converse(given, 1)["usage"] == {**COUNTED, "cacheReadInputTokens": 2}


@pytest.mark.parametrize("given", [{}, {"choices": []}, {"choices": [{}]}, completion({"content": "x"}, "odd")])
def test_what_is_no_completion_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(HandoffError, match="answered with no chat completion") as caught:
        converse(given, 1)
    assert caught.value.code is Code.DECODE_FAILED


def test_tokens_without_usage_are_refused() -> None:
    assert token_counts({"usage": USAGE}) == (3, 2)
    with pytest.raises(HandoffError, match="no chat completion"):
        token_counts({"usage": None})


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": None}


def read(sent: Iterable[bytes]) -> list[tuple[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(sent))
    return [(message.headers[":event-type"], json.loads(message.payload)) for message in buffer]


def test_a_stream_of_reasoning_text_and_tools() -> None:
    events = ConverseEvents(lambda: 9)
    start = {"index": 0, "id": "t1", "function": {"name": "add", "arguments": ""}}
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "h"}),
        chunk({"reasoning": "m"}),
        chunk({"content": "Hi"}),
        chunk({"tool_calls": [start]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        chunk({"tool_calls": [{**start, "index": 1, "id": "t2"}]}),
        chunk({}, "tool_calls"),
        {"choices": [], "usage": USAGE},
    ]
    told = read(sent for each in chunks for sent in events.push(each))

    def delta(index: int, value: dict[str, Any]) -> tuple[str, Any]:
        return "contentBlockDelta", {"delta": value, "contentBlockIndex": index}

    def begin(index: int, tool: str) -> tuple[str, Any]:
        return "contentBlockStart", {
            "start": {"toolUse": {"toolUseId": tool, "name": "add"}},
            "contentBlockIndex": index,
        }

    def end(index: int) -> tuple[str, Any]:
        return "contentBlockStop", {"contentBlockIndex": index}

    assert told == [
        ("messageStart", {"role": "assistant"}),
        delta(0, {"reasoningContent": {"text": "h"}}),
        delta(0, {"reasoningContent": {"text": "m"}}),
        end(0),
        delta(1, {"text": "Hi"}),
        end(1),
        begin(2, "t1"),
        delta(2, {"toolUse": {"input": '{"a"'}}),
        delta(2, {"toolUse": {"input": ":1}"}}),
        end(2),
        begin(3, "t2"),
        end(3),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": COUNTED, "metrics": {"latencyMs": 9}}),
    ]
    assert events.finished


def test_a_stream_without_usage_is_not_finished() -> None:
    events = ConverseEvents(lambda: 9)
    for each in (chunk({"content": "Hi"}), chunk({}, "stop")):
        list(events.push(each))
    assert not events.finished


def test_invoked_chunks_stay_as_they_are_and_the_last_tells_metrics() -> None:
    clock = iter([2, 8])
    events = InvokeEvents(lambda: next(clock))
    chunks = [chunk({"content": "Hi"}), {"choices": [], "usage": USAGE}]
    told = [json.loads(base64.b64decode(body["bytes"])) for _, body in read(s for c in chunks for s in events.push(c))]
    metrics = {"inputTokenCount": 3, "outputTokenCount": 2, "invocationLatency": 8, "firstByteLatency": 2}
    assert told == [chunks[0], {**chunks[1], METRICS: metrics}]
    assert events.finished


def test_an_invoked_body_is_the_chat() -> None:
    assert chat_body({"messages": [], "top_k": 1}, model="m", stream=False) == {
        "messages": [],
        "top_k": 1,
        "model": "m",
    }
    assert chat_body({"messages": [], "model": "m"}, model="m", stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("given", "message"), [({"model": "x"}, "leave it out of the body"), ({"stream": True}, "the operation decides")]
)
def test_an_invoked_body_contradicts_nothing(given: dict[str, Any], message: str) -> None:
    with pytest.raises(HandoffError, match=message):
        chat_body(given, model="m", stream=False)


def test_every_code_has_an_exception() -> None:
    assert FAULTS.keys() == set(Code)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "ValidationException"),
        (413, "ValidationException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (502, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ],
)
def test_a_peer_s_status_has_an_exception(status: int, name: str) -> None:
    assert by_status(status).name == name
