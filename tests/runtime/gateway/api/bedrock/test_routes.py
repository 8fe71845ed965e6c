"""boto3's own client against a running gateway: answers, streams, and every error by its name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from runtime.handoff.contract import CHAT_COMPLETIONS, Code, HandoffError
from tests.runtime.gateway.conftest import GATEWAY_KEY, KEY_ID, MODEL, SECRET, TENANT, Captured, Setup
from tests.runtime.gateway.standin_peers import COMPLETION

ASKED: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
    "inferenceConfig": {"maxTokens": 7},
}
BODY = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 7})
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})


STREAM = (
    chunk({"role": "assistant", "content": "Hel"}),
    chunk({"content": "lo"}) + chunk({}, "stop")[:9],
    chunk({}, "stop")[9:] + event({"choices": [], "usage": USAGE}),
    b"data: [DONE]\n\n",
)


def client(setup: Setup, *, region: str = "us-east-2", key_id: str = KEY_ID, secret: str = SECRET) -> Any:
    """Return a client that signs."""
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=setup.url,
        region_name=region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def streamed(setup: Setup) -> list[Any]:
    """Return the events of ConverseStream."""
    with closing(client(setup).converse_stream(**ASKED)["stream"]) as stream:
        return list(stream)


async def code(call: Callable[..., Any], **asked: Any) -> tuple[int, str, str]:
    """Return the status, name and message of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(call, **asked)
    answer = caught.value.response
    assert answer["ResponseMetadata"]["RequestId"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


@pytest.fixture
async def answering(cs3: Setup) -> Setup:
    """Return a gateway whose decode endpoint tells its usage."""
    cs3.decode.completion = {**COMPLETION, "usage": USAGE}
    cs3.decode.chunks = STREAM
    return cs3


async def test_converse(answering: Setup, log: Captured) -> None:
    answer = await asyncio.to_thread(client(answering).converse, **ASKED)
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": "Hello"}]}
    assert (answer["stopReason"], answer["usage"]["totalTokens"]) == ("end_turn", 5)
    assert answer["metrics"]["latencyMs"] >= 0
    sent = answering.decode.body(CHAT_COMPLETIONS)
    assert (sent["messages"], sent["max_tokens"]) == ([{"role": "user", "content": "Hello"}], 7)
    [line] = log.requests()
    assert (line["tenant"], line["status"], line["stream"]) == (TENANT, 200, False)


async def test_converse_stream(answering: Setup) -> None:
    events = await asyncio.to_thread(streamed, answering)
    assert [next(iter(each)) for each in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    deltas = [each["contentBlockDelta"]["delta"]["text"] for each in events if "contentBlockDelta" in each]
    assert deltas == ["Hel", "lo"]
    assert events[-1]["metadata"]["usage"] == {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}


async def test_invoke_model(answering: Setup) -> None:
    answer = await asyncio.to_thread(client(answering).invoke_model, modelId=MODEL, body=BODY)
    assert json.loads(answer["body"].read()) == {**COMPLETION, "usage": USAGE}
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == "3"
    assert headers["x-amzn-bedrock-output-token-count"] == "2"


async def test_invoke_model_with_response_stream(answering: Setup) -> None:
    def ask() -> list[Any]:
        answer = client(answering).invoke_model_with_response_stream(modelId=MODEL, body=BODY)
        with closing(answer["body"]) as stream:
            return [json.loads(each["chunk"]["bytes"]) for each in stream]

    chunks = await asyncio.to_thread(ask)
    assert [each["choices"][0]["delta"].get("content") for each in chunks[:-1]] == ["Hel", "lo", None]
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 2


async def test_a_stream_that_breaks_off_ends_in_an_exception(cs3: Setup, log: Captured) -> None:
    cs3.decode.chunks = STREAM[:2]

    with pytest.raises(EventStreamError, match=r"modelStreamErrorException.*broke off its answer"):
        await asyncio.to_thread(streamed, cs3)
    assert log.requests()[0]["code"] == "decode_failed"


@pytest.mark.parametrize(
    "bad", [b"data: {\n\n", b"data: []\n\n", b'data: {"choices": [1]}\n\n', event({"error": {"message": "no"}})]
)
async def test_a_stream_of_something_else_ends_in_an_exception(cs3: Setup, bad: bytes) -> None:
    cs3.decode.chunks = (STREAM[0], bad)

    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        await asyncio.to_thread(streamed, cs3)


async def test_a_peer_s_refusal_keeps_its_meaning(answering: Setup) -> None:
    error = HandoffError(Code.CAPACITY, "the wafer is full")
    answering.decode.errors["reserve"] = web.json_response(error.body(), status=429, headers={"Retry-After": "2"})
    status, name, message = await code(client(answering).converse, **ASKED)
    assert (status, name, message) == (429, "ThrottlingException", "the wafer is full")


async def test_what_a_client_does_wrong_is_named(answering: Setup) -> None:
    asking = client(answering)
    status, name, message = await code(asking.converse, **{**ASKED, "guardrailConfig": {"trace": "enabled"}})
    assert (status, name) == (400, "ValidationException")
    assert "guardrailConfig" in message
    assert (await code(asking.converse, **{**ASKED, "modelId": "other"}))[:2] == (404, "ResourceNotFoundException")
    assert (await code(asking.invoke_model, modelId=MODEL, body=b"{"))[:2] == (400, "ValidationException")
    assert (await code(asking.count_tokens, modelId=MODEL, input={"converse": {}}))[1] == "UnknownOperationException"
    assert answering.prefill.calls() == []


async def test_without_an_answer_the_model_is_at_fault(cs3: Setup) -> None:
    assert (await code(client(cs3).converse, **ASKED))[:2] == (424, "ModelErrorException")
    cs3.prefill_workers.clear()
    assert (await code(client(cs3).converse, **ASKED))[:2] == (503, "ServiceUnavailableException")


@pytest.mark.parametrize("wrong", [{"key_id": "TANDEM9"}, {"secret": "other"}, {"region": "us-east-1"}])
async def test_another_signature_is_refused(answering: Setup, wrong: dict[str, str]) -> None:
    refused = await code(client(answering, **wrong).converse, **ASKED)
    assert refused[:2] == (403, "UnrecognizedClientException")
    assert answering.decode.calls() == []


async def test_a_key_serves_as_a_bedrock_api_key(answering: Setup) -> None:
    url = f"{answering.url}/model/{quote(MODEL, safe='')}/converse"
    body = {"messages": ASKED["messages"]}
    for key, status in ((GATEWAY_KEY, 200), ("other", 403)):
        async with answering.session.post(url, json=body, headers={"Authorization": f"Bearer {key}"}) as answer:
            assert answer.status == status


async def test_a_signature_is_no_key_elsewhere(answering: Setup) -> None:
    sent = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/20261127/us-east-2/bedrock/aws4_request"}
    async with answering.ask(headers=sent) as answer:
        assert answer.status == 401
