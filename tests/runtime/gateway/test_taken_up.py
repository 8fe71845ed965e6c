"""An endpoint of the contract takes up an answer that another began: whatever was asked for, as it was asked for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runtime.handoff import fields
from runtime.handoff.contract import CHAT_COMPLETIONS, COMPLETIONS, RESERVATIONS
from runtime.handoff.fields import RECEIVED
from tests.runtime.gateway.api.bedrock.test_routes import streamed
from tests.runtime.gateway.conftest import MODEL, Captured, Setup, Start
from tests.runtime.gateway.standin_peers import DecodePeer
from tests.runtime.gateway.test_continuation import BEGUN, DONE, chat, event, read, said

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
TOLD = event({"id": "chatcmpl-second", "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
REST = (chat({"content": " three"}, [3]), chat({}, [4], "stop"), TOLD, DONE)


async def broken(start: Start, *, begun: tuple[bytes, ...] = BEGUN, rest: tuple[bytes, ...] = REST) -> Setup:
    """Return a gateway between two endpoints that break off what they begin, and know how to go on."""
    setup: Setup = await start("cs3", peers=2)
    for peer in (setup.decode, *setup.others):
        peer.chunks, peer.dies, peer.rest = begun, True, rest
    return setup


def asked(setup: Setup) -> tuple[DecodePeer, dict[str, Any]]:
    """Return who took it up, and with what body."""
    peers = (setup.decode, *setup.others)
    [found] = ((peer, seen.body) for peer in peers for seen in peer.seen if RECEIVED in seen.body)
    return found


async def test_the_client_sees_one_stream(start: Start, log: Captured) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, max_tokens=9, stream_options={"include_usage": True}) as answer:
        received = read(await answer.read())
    assert (said(received), received[-1]) == ("One two three", b"[DONE]")
    chunks = received[:-1]
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-first"}
    assert ["role" in chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]] == [True, *[False] * 4]
    assert chunks[-1]["usage"] == USAGE
    assert b"token_ids" not in json.dumps(chunks).encode()
    [line] = log.requests()
    assert (line["code"], line["retries"]) == (None, ["stream decode_failed continue"])


async def test_the_same_is_asked_for_with_what_there_is_of_its_answer(start: Start) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, max_completion_tokens=9, temperature=0, stop=["x"], user="u") as answer:
        await answer.read()
    peer, body = asked(setup)
    [first] = [each for each in (setup.decode, *setup.others) if each is not peer]
    [before] = [seen.body for seen in first.seen if seen.path == CHAT_COMPLETIONS]
    for each in (before, body):
        assert each.pop(fields.KV_TRANSFER_PARAMS)
    assert body.pop(RECEIVED) == [1, 2]
    assert (before.pop("max_completion_tokens"), body.pop("max_tokens")) == (9, 9)
    assert body == before
    reservation = peer.body(RESERVATIONS)
    assert (reservation["attempt"], reservation["prompt_tokens"], reservation["max_tokens"]) == (2, 5, 7)


async def test_a_worker_prefills_the_prompt_with_the_answer_so_far(start: Start) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, logprobs=True) as answer:
        await answer.read()
    [prefilled] = [seen.body for seen in setup.prefill.seen if seen.path == COMPLETIONS]
    assert prefilled.pop(fields.KV_TRANSFER_PARAMS)
    assert prefilled == {
        "model": MODEL,
        "prompt": [7, 8, 9, 1, 2],
        "temperature": 0,
        "stream": False,
        "max_tokens": 1,
    }


IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]


@pytest.mark.parametrize("more", [{"made_up": 1}, {"reasoning_effort": "high"}, {"messages": IMAGE}])
async def test_what_might_be_part_of_the_prompt_is_not_gone_on_with(start: Start, more: dict[str, Any]) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, **more) as answer:
        assert read(await answer.read())[-1]["error"]["code"] == "decode_failed"
    again: dict[str, Any] = {"stream": True, RECEIVED: [1, 2], **more}
    async with setup.ask(**again) as answer:
        assert f"not with {next(iter(more))} as given" in (await answer.json())["error"]["message"]


async def test_a_worker_that_goes_on_foretells_nothing(start: Start, log: Captured) -> None:
    setup = await broken(start)
    greedy: dict[str, Any] = {"stream": True, "temperature": 0, "frequency_penalty": 1, RECEIVED: [1, 2]}
    async with setup.ask(**greedy) as answer:
        await answer.read()
    assert [line["first_token"] for line in log.requests()] == [None]


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    "more",
    [
        {"presence_penalty": 1},
        {"frequency_penalty": 0.5, "repetition_penalty": 1.2, "logit_bias": {"5": 1}},
        {"logprobs": True, "top_logprobs": 3},
        {"response_format": {"type": "json_object"}},
        {"tools": TOOLS, "tool_choice": "required"},
        {"stop": ["END"], "min_tokens": 4, "seed": 7, "temperature": 1},
    ],
)
async def test_whatever_was_asked_for_is_asked_for_again(start: Start, more: dict[str, Any]) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, **more) as answer:
        assert said(read(await answer.read())) == "One two three"
    assert {name: asked(setup)[1][name] for name in more} == more


def calls(*pieces: dict[str, Any]) -> list[bytes]:
    first = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    deltas = [{"tool_calls": [piece]} for piece in (first, *({"index": 0, **each} for each in pieces))]
    return [chat(delta, [number]) for number, delta in enumerate(deltas, 11)]  # type: ignore[arg-type]


async def test_half_a_call_of_a_tool_is_completed(start: Start) -> None:
    first, second = calls({"function": {"arguments": '{"city":'}})
    third = chat({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}, [13])  # type: ignore[dict-item]
    thought = chat({"role": "assistant", "reasoning": "Hm"}, [10])
    setup = await broken(start, begun=(thought, first, second), rest=(third, chat({}, [14], "tool_calls"), DONE))
    async with setup.ask(stream=True, tools=TOOLS) as answer:
        received = read(await answer.read())
    assert asked(setup)[1][RECEIVED] == [10, 11, 12]
    deltas = [chunk["choices"][0]["delta"] for chunk in received[:-1]]
    pieces = [piece["function"]["arguments"] for delta in deltas for piece in delta.get("tool_calls", [])]
    assert "".join(pieces) == '{"city":"Oslo"}'
    assert received[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_half_a_reasoning_goes_on(start: Start) -> None:
    begun = (chat({"role": "assistant", "content": ""}, []), chat({"reasoning": "Hm"}, [5]))
    setup = await broken(start, begun=begun, rest=(chat({"reasoning": "."}, [6]), *REST))
    async with setup.ask(stream=True) as answer:
        received = read(await answer.read())
    thoughts = [chunk["choices"][0]["delta"].get("reasoning", "") for chunk in received[:-1] if chunk.get("choices")]
    assert ("".join(thoughts), said(received)) == ("Hm.", " three")


async def test_tokens_whose_text_is_held_back_are_taken_up_as_well(start: Start) -> None:
    setup = await broken(start, begun=(*BEGUN, chat({}, [99])))
    async with setup.ask(stream=True) as answer:
        assert said(read(await answer.read())) == "One two three"
    assert asked(setup)[1][RECEIVED] == [1, 2, 99]


async def test_an_answer_at_its_limit_is_ended_by_who_knows_what_was_held_back(start: Start) -> None:
    setup = await broken(start, rest=(chat({"content": "!"}, [], "length"), DONE))
    async with setup.ask(stream=True, max_tokens=2) as answer:
        received = read(await answer.read())
    assert (said(received), received[-2]["choices"][0]["finish_reason"]) == ("One two!", "length")
    peer, body = asked(setup)
    assert (body["max_tokens"], body[RECEIVED], peer.body(RESERVATIONS)["max_tokens"]) == (2, [1, 2], 1)


async def test_what_lacked_only_its_end_is_ended_here(start: Start) -> None:
    setup = await broken(start, begun=(*BEGUN, chat({}, [4], "stop")))
    async with setup.ask(stream=True, stream_options={"include_usage": True}) as answer:
        received = read(await answer.read())
    assert received[-2]["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


async def test_probabilities_of_a_token_without_text_reach_the_client(start: Start) -> None:
    choice = {"index": 0, "delta": {}, "logprobs": {"content": [{"token": "\\n"}]}, "finish_reason": None}
    setup = await broken(start, rest=(event({"choices": [choice]}), *REST))
    async with setup.ask(stream=True, logprobs=True) as answer:
        received = read(await answer.read())
    assert [chunk["choices"][0]["logprobs"] for chunk in received[3:4]] == [choice["logprobs"]]


async def test_text_without_ids_ends_with_an_error(start: Start) -> None:
    bare = event({"choices": [{"index": 0, "delta": {"content": "One"}, "finish_reason": None}]})
    setup = await broken(start, begun=(bare,))
    async with setup.ask(stream=True) as answer:
        assert read(await answer.read())[-1]["error"]["code"] == "decode_failed"


async def test_a_stream_of_converse_goes_on_as_well(start: Start) -> None:
    setup = await broken(start)
    events = await asyncio.to_thread(streamed, setup)
    deltas = [each["contentBlockDelta"]["delta"]["text"] for each in events if "contentBlockDelta" in each]
    assert "".join(deltas) == "One two three"
    assert [each["messageStop"]["stopReason"] for each in events if "messageStop" in each] == ["end_turn"]
    assert events[-1]["metadata"]["usage"] == {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}


async def test_a_client_goes_on_with_tools_and_penalties_at_another_gateway(start: Start) -> None:
    setup = await broken(start)
    more: dict[str, Any] = {"tools": TOOLS, "frequency_penalty": 1, RECEIVED: [1, 2]}
    async with setup.ask(stream=True, max_tokens=9, **more) as answer:
        received = read(await answer.read())
    assert said(received) == " three"
    assert not any("role" in chunk["choices"][0]["delta"] for chunk in received[:-1] if chunk["choices"])
    assert (asked(setup)[1][RECEIVED], asked(setup)[1]["max_tokens"]) == ([1, 2], 9)
