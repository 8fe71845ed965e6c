"""A completion of text that breaks goes on elsewhere as a chat does, at endpoints of the contract and vLLM workers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.handoff.contract import COMPLETIONS
from runtime.handoff.fields import KV_TRANSFER_PARAMS, RECEIVED, REQUEST_ID_HEADER
from tests.runtime.gateway.conftest import MODEL, Captured, Setup, Start
from tests.runtime.gateway.standin_peers import PROMPT, has_begun
from tests.runtime.gateway.test_continuation import DONE, event, read, text

BEGUN = (text("One", [1]), text(" two", [2]))
REST = (text(" three", [3]), text("", [4], "stop"))
PROVIDERS = pytest.mark.parametrize("provider", ["vllm", "cs3"])
COUNTED = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def told(provider: str) -> bytes:
    """Return the usage as whoever goes on counts it: vLLM counts what came before as prompt, an endpoint does not."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7} if provider == "vllm" else COUNTED
    return event({"id": "cmpl-other", "object": "text_completion", "choices": [], "usage": usage})


async def broken(start: Start, provider: str, *, begun: tuple[bytes, ...] = BEGUN) -> Setup:
    """Return a gateway between two who break off what they begin, and know how to go on."""
    setup: Setup = await start(provider, peers=2)
    for peer in (setup.decode, *setup.others):
        peer.chunks, peer.dies, peer.rest = begun, True, (*REST, told(provider), DONE)
    return setup


def bodies(setup: Setup) -> list[dict[str, Any]]:
    """Return what decode was asked for, what it goes on with last."""
    seen = [each for peer in (setup.decode, *setup.others) for each in peer.seen if each.path == COMPLETIONS]
    return sorted((each.body for each in seen), key=has_begun)


def said(events: list[Any]) -> str:
    return "".join(choice["text"] for each in events if each != b"[DONE]" for choice in each["choices"])


@PROVIDERS
@pytest.mark.parametrize("prompt", ["Count.", PROMPT], ids=["text", "ids"])
async def test_the_client_sees_one_stream(start: Start, log: Captured, provider: str, prompt: object) -> None:
    setup = await broken(start, provider)
    async with setup.ask(prompt=prompt, stream=True, max_tokens=9, stream_options={"include_usage": True}) as answer:
        received = read(await answer.read())
    assert (said(received), received[-1]) == ("One two three", b"[DONE]")
    chunks = received[:-1]
    assert {chunk["id"] for chunk in chunks} == {"cmpl-second"}  # what the first stream's events have
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]] == [None] * 3 + ["stop"]
    assert not any("delta" in choice for chunk in chunks for choice in chunk["choices"])
    assert chunks[-1]["usage"] == COUNTED
    assert b"token_ids" not in json.dumps(chunks).encode()
    [line] = log.requests()
    assert (line["code"], line["retries"]) == (None, ["stream decode_failed continue"])


@pytest.mark.parametrize("prompt", ["Count.", PROMPT], ids=["text", "ids"])
async def test_an_endpoint_of_the_contract_takes_it_up(start: Start, prompt: object) -> None:
    setup = await broken(start, "cs3")
    more: dict[str, Any] = {"temperature": 0, "presence_penalty": 1, "stop": ["x"], "logprobs": 1}
    async with setup.ask(prompt=prompt, stream=True, max_tokens=9, **more) as answer:
        await answer.read()
    first, body = bodies(setup)
    assert body.pop(RECEIVED) == [1, 2]
    assert first.pop(KV_TRANSFER_PARAMS)
    assert body.pop(KV_TRANSFER_PARAMS)
    assert body == first
    prefilled = [seen.body["prompt"] for seen in setup.prefill.seen if seen.path == COMPLETIONS]
    assert prefilled == [prompt, [*PROMPT, 1, 2]]
    assert ("POST /tokenize" in setup.prefill.calls()) is isinstance(prompt, str)


@pytest.mark.parametrize("prompt", ["Count.", PROMPT], ids=["text", "ids"])
async def test_a_vllm_worker_takes_it_for_a_longer_prompt(start: Start, prompt: object) -> None:
    setup = await broken(start, "vllm")
    async with setup.ask(prompt=prompt, stream=True, max_tokens=9, temperature=0, echo=False, best_of=1) as answer:
        await answer.read()
    body = bodies(setup)[-1]
    body.pop(KV_TRANSFER_PARAMS, None)
    assert body == {
        "model": MODEL,
        "prompt": [*PROMPT, 1, 2],
        "max_tokens": 7,
        "temperature": 0,
        "stream": True,
        "return_token_ids": True,
    }
    asked = [seen.body for seen in setup.prefill.seen if seen.path == "/tokenize"]
    assert asked == ([{"model": MODEL, "prompt": prompt}] if isinstance(prompt, str) else [])


@pytest.mark.parametrize(("said", "left"), [({}, 14), ({"max_tokens": None}, 4096 - 3 - 2)])
async def test_where_nothing_is_said_as_many_tokens_are_left_as_vllm_gives(
    start: Start, said: dict[str, Any], left: int
) -> None:
    setup = await broken(start, "vllm")
    async with setup.ask(prompt=PROMPT, stream=True, **said) as answer:
        await answer.read()
    assert bodies(setup)[-1]["max_tokens"] == left


@pytest.mark.parametrize("more", [{"logprobs": 0}, {"echo": True}, {"stop": ["x"]}, {"suffix": "y"}])
async def test_an_answer_that_vllm_could_give_otherwise_ends_with_an_error(start: Start, more: dict[str, Any]) -> None:
    setup = await broken(start, "vllm")
    async with setup.ask(prompt="Count.", stream=True, **more) as answer:
        assert read(await answer.read())[-1]["error"]["code"] == "decode_failed"


@PROVIDERS
async def test_what_lacked_only_its_end_is_ended_here(start: Start, provider: str) -> None:
    setup = await broken(start, provider, begun=(*BEGUN, text("", [4], "stop")))
    async with setup.ask(prompt="Count.", stream=True, stream_options={"include_usage": True}) as answer:
        received = read(await answer.read())
    assert received[-1] == b"[DONE]"
    assert received[-2]["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert {chunk["object"] for chunk in received[:-1]} == {"text_completion"}


@PROVIDERS
async def test_a_client_goes_on_at_another_gateway(start: Start, provider: str) -> None:
    setup = await broken(start, provider)
    more: dict[str, Any] = {RECEIVED: [1, 2], "stream_options": {"include_usage": True}}
    async with setup.ask(prompt="Count.", stream=True, max_tokens=9, **more) as answer:
        received = read(await answer.read())
        name = answer.headers[REQUEST_ID_HEADER]
    assert (said(received), received[-2]["usage"]) == (" three", COUNTED)
    assert {chunk["id"] for chunk in received[:-1]} == {f"cmpl-{name}"}


async def test_a_text_at_its_limit_is_ended(start: Start) -> None:
    setup = await broken(start, "vllm")
    more: dict[str, Any] = {RECEIVED: [1, 2]}
    async with setup.ask(prompt="Count.", stream=True, max_tokens=2, **more) as answer:
        received = read(await answer.read())
    assert [(choice["text"], choice["finish_reason"]) for choice in received[0]["choices"]] == [("", "length")]
