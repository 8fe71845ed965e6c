"""A client whose stream broke between it and a gateway goes on with it at any other one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.handoff import fields
from runtime.handoff.contract import COMPLETIONS, Code
from runtime.handoff.fields import RECEIVED
from tests.runtime.gateway.conftest import Setup, Start
from tests.runtime.gateway.test_continuation import DONE, asked, read, said, text, usage

BEGUN = (text(" three", [3]),)
REST = (text(" three", [3]), text("", [4], "stop"), usage(), DONE)


async def gateway(start: Start, name: str = "vllm", *, peers: int = 1) -> Setup:
    setup: Setup = await start(name, peers=peers)
    for peer in (setup.decode, *setup.others):
        peer.rest = REST
    return setup


def resumed(setup: Setup, **more: Any) -> Any:
    return setup.ask(**{"stream": True, "max_tokens": 9, RECEIVED: [1, 2], **more})


async def refused(setup: Setup, **more: Any) -> str:
    async with resumed(setup, **more) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (400, Code.INVALID_REQUEST.value)
    assert setup.decode.seen == setup.prefill.seen == []
    message: str = error["message"]
    return message


async def test_the_answer_goes_on_after_the_last_token_that_came(start: Start) -> None:
    setup = await gateway(start)
    async with resumed(setup, temperature=0, stream_options={"include_usage": True}) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        received = read(await answer.read())
        name = answer.headers[fields.REQUEST_ID_HEADER]
    assert said(received) == " three"
    assert received[-1] == b"[DONE]"
    heads = {(chunk["id"], chunk["object"]) for chunk in received[:-1]}
    assert heads == {(f"chatcmpl-{name}", "chat.completion.chunk")}
    assert received[-2]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    body = asked(setup)[1]
    assert (body["prompt"], body["max_tokens"], body["temperature"]) == ([7, 8, 9, 1, 2], 7, 0)
    assert RECEIVED not in body
    assert b"role" not in json.dumps(received[:-1]).encode()


async def test_what_is_resumed_may_break_and_goes_on_again(start: Start) -> None:
    setup = await gateway(start, peers=2)
    first, (second,) = setup.decode, setup.others
    first.rest, first.breaks_rest = BEGUN, True
    second.rest, second.breaks_rest = BEGUN, True
    async with resumed(setup, return_token_ids=True) as answer:
        received = read(await answer.read())
    prompts = [seen.body["prompt"] for peer in (first, second) for seen in peer.seen if seen.path == COMPLETIONS]
    assert sorted(prompts, key=len)[:3] == [[7, 8, 9, 1, 2], [7, 8, 9, 1, 2, 3], [7, 8, 9, 1, 2, 3, 3]]
    assert received[-1]["error"]["code"] == "decode_failed"  # five tries were made


async def test_an_answer_that_had_come_to_its_limit_is_ended(start: Start) -> None:
    setup = await gateway(start)
    async with resumed(setup, max_tokens=2) as answer:
        received = read(await answer.read())
    assert [chunk["choices"][0]["finish_reason"] for chunk in received[:-1]] == ["length"]
    assert setup.decode.seen == []


@pytest.mark.parametrize(
    "more", [{"stream": False}, {"tools": [{"type": "function"}]}, {"frequency_penalty": 1}, {"stop": ["x"]}]
)
async def test_what_could_go_on_otherwise_is_refused_before_anything_is_asked_for(
    start: Start, more: dict[str, Any]
) -> None:
    [name] = more
    said = await refused(await gateway(start), **more)
    assert f"cannot be continued exactly: not with {name} as given" in said


async def test_an_endpoint_of_the_contract_goes_on_with_any_stream_and_nothing_else(start: Start) -> None:
    assert "not with stream as given" in await refused(await gateway(start, "cs3"), stream=False)


async def test_another_provider_s_endpoint_cannot_go_on(start: Start) -> None:
    assert "tells its tokens' ids" in await refused(await gateway(start, "openai"))


@pytest.mark.parametrize("ids", ["1, 2", [1, "2"], [-1], [True], {"a": 1}, 7, 0, "", False])
async def test_what_are_no_token_ids_is_refused(start: Start, ids: object) -> None:
    assert "the list of token ids that came is needed" in await refused(await gateway(start), **{RECEIVED: ids})


@pytest.mark.parametrize("nothing", [None, []])
async def test_nothing_received_is_a_request_like_any_other(start: Start, nothing: object) -> None:
    setup = await gateway(start)
    async with resumed(setup, **{RECEIVED: nothing}) as answer:
        assert said(read(await answer.read())) == "Hello"


async def test_without_a_worker_that_tokenizes_nothing_goes_on(start: Start) -> None:
    setup = await gateway(start)
    setup.prefill_workers.clear()
    async with resumed(setup) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (503, "prefill_unavailable")
