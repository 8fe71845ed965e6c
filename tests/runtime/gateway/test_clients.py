"""OpenAI's and Cerebras' own clients, unchanged: what they ask for arrives, what the endpoint answers comes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cerebras.cloud.sdk import AsyncCerebras
from cerebras.cloud.sdk import NotFoundError as CerebrasNotFoundError
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from runtime.handoff import fields
from runtime.handoff.contract import CHAT_COMPLETIONS, COMPLETIONS, RESERVATIONS
from tests.runtime.gateway.conftest import GATEWAY_KEY, MODEL, Setup, Start

MESSAGES: Any = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
ASKED: dict[str, Any] = {
    "stop": ["\n\n", "END"],
    "logprobs": True,
    "top_logprobs": 2,
    "reasoning_effort": "low",
    "tools": [TOOL],
    "tool_choice": "auto",
    "seed": 7,
}
LOGPROB = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 5,
    "total_tokens": 8,
    "completion_tokens_details": {"reasoning_tokens": 2},
}
TIME_INFO = {"queue_time": 0.001, "prompt_time": 0.002, "completion_time": 0.003, "total_time": 0.006, "created": 1.5}
HEAD = {"id": "1", "created": 1, "model": "m", "system_fingerprint": "fp"}
CHAT = {
    **HEAD,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "reasoning": "think",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
            },
            "logprobs": {"content": [LOGPROB], "refusal": []},
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
    "time_info": TIME_INFO,
}
TEXT = {
    **HEAD,
    "object": "text_completion",
    "choices": [{"index": 0, "text": "Hi", "logprobs": None, "finish_reason": "stop"}],
    "usage": USAGE,
    "time_info": TIME_INFO,
}


def events(*chunks: dict[str, Any]) -> tuple[bytes, ...]:
    return (*(f"data: {json.dumps({**HEAD, **chunk})}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n")


def choice(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": finish_reason, **more}]


CHAT_CHUNKS = events(
    {"object": "chat.completion.chunk", "choices": choice({"role": "assistant", "reasoning": "think"})},
    {"object": "chat.completion.chunk", "choices": choice({"content": "Hi"}, logprobs={"content": [LOGPROB]})},
    {"object": "chat.completion.chunk", "choices": choice({}, "stop")},
    {"object": "chat.completion.chunk", "choices": [], "usage": USAGE, "time_info": TIME_INFO},
)
TEXT_CHUNKS = events(
    {"object": "text_completion", "choices": [{"index": 0, "text": "Hi", "finish_reason": None, "logprobs": None}]},
    {"object": "text_completion", "choices": [{"index": 0, "text": "", "finish_reason": "stop", "logprobs": None}]},
)


@pytest.fixture
async def openai(cs3: Setup) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{cs3.url}/v1", api_key=GATEWAY_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def cerebras(cs3: Setup) -> AsyncIterator[AsyncCerebras]:
    async with AsyncCerebras(base_url=cs3.url, api_key=GATEWAY_KEY, max_retries=0, warm_tcp_connection=False) as client:
        yield client


async def test_what_openai_s_client_asks_for_arrives_and_what_is_answered_comes_back(
    cs3: Setup, openai: AsyncOpenAI
) -> None:
    cs3.decode.completion = CHAT
    answer = await openai.chat.completions.create(model=MODEL, messages=MESSAGES, **ASKED)
    got = answer.model_dump()
    assert (got["usage"]["completion_tokens_details"]["reasoning_tokens"], got["time_info"]) == (2, TIME_INFO)
    assert got["choices"][0]["message"]["reasoning"] == "think"
    assert answer.choices[0].message.tool_calls
    assert answer.choices[0].logprobs
    for peer in (cs3.prefill, cs3.decode):
        sent = peer.body(CHAT_COMPLETIONS)
        assert {name: sent[name] for name in ASKED} == ASKED


async def test_openai_s_client_streams_reasoning_logprobs_and_usage(cs3: Setup, openai: AsyncOpenAI) -> None:
    cs3.decode.chunks = CHAT_CHUNKS
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    stream = await openai.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=options)
    chunks = [chunk.model_dump() async for chunk in stream]
    assert [each for chunk in chunks for each in chunk["choices"] if each["delta"].get("reasoning")]
    assert chunks[1]["choices"][0]["logprobs"]["content"][0]["token"] == "Hi"
    assert (chunks[-1]["usage"]["total_tokens"], chunks[-1]["time_info"]) == (8, TIME_INFO)
    assert cs3.decode.body(CHAT_COMPLETIONS)["stream_options"] == options


@pytest.mark.parametrize("prompt", ["Once upon", [5, 6, 7], ["Once upon"], [[5, 6, 7]]])
async def test_a_completion_of_text_is_handed_over_like_a_chat(cs3: Setup, openai: AsyncOpenAI, prompt: Any) -> None:
    cs3.decode.text_completion = TEXT
    answer = await openai.completions.create(
        model=MODEL, prompt=prompt, max_tokens=9, stop="END", logprobs=1, echo=True
    )
    assert (answer.choices[0].text, answer.object) == ("Hi", "text_completion")
    one = prompt[0] if isinstance(prompt[0], str | list) and len(prompt) == 1 else prompt
    prefilled, decoded = cs3.prefill.body(COMPLETIONS), cs3.decode.body(COMPLETIONS)
    assert prefilled == {
        "model": MODEL,
        "prompt": one,
        "stop": "END",
        "logprobs": 1,
        "stream": False,
        "max_tokens": 1,
        fields.KV_TRANSFER_PARAMS: dict(fields.PREFILL_REQUEST),
    }
    assert (decoded["prompt"], decoded["max_tokens"], decoded["echo"]) == (one, 9, True)
    assert fields.TANDEM in decoded[fields.KV_TRANSFER_PARAMS]
    reserved = cs3.decode.body(RESERVATIONS)["prompt_tokens"]
    assert reserved == 3 if isinstance(one, list) else 3 <= reserved <= 8


async def test_a_completion_of_text_is_streamed(cs3: Setup, openai: AsyncOpenAI) -> None:
    cs3.decode.chunks = TEXT_CHUNKS
    stream = await openai.completions.create(model=MODEL, prompt="Once", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "Hi"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"prompt": prompt} for prompt in ("", [], ["a", "b"], [1, "a"], [-1], [True], {"a": 1})),
        {"prompt": "a", "best_of": 2},
        {"prompt": "a", "n": 2},
    ],
)
async def test_other_prompts_are_refused_by_name(cs3: Setup, openai: AsyncOpenAI, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match=list(wrong)[-1]):
        await openai.completions.create(model=MODEL, **wrong)
    assert cs3.decode.calls() == []


async def test_a_prompt_beside_messages_does_not_make_them_cheaper(cs3: Setup) -> None:
    messages = [{"role": "user", "content": "word " * 100}]
    async with cs3.ask(messages=messages, prompt=[1]) as answer:
        assert answer.status == 200
    assert cs3.decode.body(RESERVATIONS)["prompt_tokens"] > 200


async def test_each_provider_takes_completions_of_text(start: Start) -> None:
    for name in ("vllm", "openai"):
        setup = await start(name)
        setup.decode.text_completion = TEXT
        async with AsyncOpenAI(base_url=f"{setup.url}/v1", api_key=GATEWAY_KEY, max_retries=0) as client:
            answer = await client.completions.create(model=MODEL, prompt="Once")
        assert answer.choices[0].text == "Hi"
        assert setup.decode.body(COMPLETIONS)["prompt"] == "Once"


async def test_the_model_is_found_by_its_name_and_no_other(openai: AsyncOpenAI, cerebras: AsyncCerebras) -> None:
    assert (await openai.models.retrieve(MODEL)).id == MODEL
    assert (await cerebras.models.retrieve(MODEL)).id == MODEL
    assert [model.id async for model in openai.models.list()] == [MODEL]
    assert [model.id for model in (await cerebras.models.list()).data] == [MODEL]
    with pytest.raises(NotFoundError, match="org/other"):
        await openai.models.retrieve("org/other")
    with pytest.raises(CerebrasNotFoundError, match="org/other"):
        await cerebras.models.retrieve("org/other")


async def test_what_cerebras_client_asks_for_arrives_and_its_times_come_back(
    cs3: Setup, cerebras: AsyncCerebras
) -> None:
    cs3.decode.completion = CHAT
    answer: Any = await cerebras.chat.completions.create(model=MODEL, messages=MESSAGES, **ASKED)
    assert answer.time_info.completion_time == 0.003
    assert answer.choices[0].message.reasoning == "think"
    sent = cs3.decode.body(CHAT_COMPLETIONS)
    assert {name: sent[name] for name in ASKED} == ASKED


async def test_cerebras_client_streams_and_sees_its_times(cs3: Setup, cerebras: AsyncCerebras) -> None:
    cs3.decode.chunks = CHAT_CHUNKS
    stream: Any = await cerebras.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(each.delta.content or "" for chunk in chunks for each in chunk.choices or []) == "Hi"
    assert chunks[-1].time_info.total_time == 0.006


async def test_cerebras_client_completes_text(cs3: Setup, cerebras: AsyncCerebras) -> None:
    cs3.decode.text_completion = TEXT
    answer: Any = await cerebras.completions.create(model=MODEL, prompt="Once")
    assert answer.choices[0].text == "Hi"
    cs3.decode.chunks = TEXT_CHUNKS
    stream: Any = await cerebras.completions.create(model=MODEL, prompt="Once", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "Hi"


async def test_cerebras_client_warms_its_connection(cs3: Setup) -> None:
    headers = {"Authorization": f"Bearer {GATEWAY_KEY}"}
    async with cs3.session.get(f"{cs3.url}/v1/tcp_warming", headers=headers) as answer:
        assert answer.status == 204
