"""A stream that breaks goes on at another vLLM worker: nothing is lost, repeated or told twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runtime.gateway.peers.upstream import STALLED_SECONDS
from runtime.handoff import fields
from runtime.handoff.contract import CHAT_COMPLETIONS, COMPLETIONS
from tests.runtime.gateway.conftest import MODEL, Captured, Forward, Setup, Start
from tests.runtime.gateway.standin_peers import DecodePeer

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def chat(delta: dict[str, str], ids: list[int], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason, "token_ids": ids}
    head = {"id": "chatcmpl-first", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return event(head | {"choices": [choice]})


def text(piece: str, ids: list[int], reason: str | None = None) -> bytes:
    choice = {"index": 0, "text": piece, "logprobs": None, "finish_reason": reason, "token_ids": ids}
    head = {"id": "cmpl-second", "object": "text_completion", "created": 2, "model": MODEL}
    return event(head | {"choices": [choice]})


def usage() -> bytes:
    head = {"id": "cmpl-second", "object": "text_completion", "created": 2, "model": MODEL}
    return event(head | {"choices": [], "usage": USAGE})


DONE = b"data: [DONE]\n\n"
BEGUN = (chat({"role": "assistant", "content": ""}, []), chat({"content": "One"}, [1]), chat({"content": " two"}, [2]))
REST = (text(" three", [3]), text("", [4], "stop"), usage(), DONE)


async def broken(start: Start, *, begun: tuple[bytes, ...] = BEGUN, peers: int = 2) -> Setup:
    """Return a gateway between endpoints that all break off what they begin, and know how to go on."""
    setup: Setup = await start("vllm", peers=peers)
    for peer in (setup.decode, *setup.others):
        peer.chunks, peer.dies, peer.rest = begun, True, REST
    return setup


def read(received: bytes) -> list[Any]:
    events = [line.removeprefix(b"data: ") for line in received.split(b"\n\n") if line]
    return [line if line == b"[DONE]" else json.loads(line) for line in events]


def said(events: list[Any]) -> str:
    deltas = [event["choices"][0]["delta"] for event in events if event != b"[DONE]" and event.get("choices")]
    return "".join(delta.get("content") or "" for delta in deltas)


def asked(setup: Setup) -> tuple[DecodePeer, dict[str, Any]]:
    """Return who went on, and with what body."""
    peers = (setup.decode, *setup.others)
    ((peer, seen),) = ((peer, seen) for peer in peers for seen in peer.seen if seen.path == COMPLETIONS)
    return peer, seen.body


async def test_the_client_sees_one_stream(start: Start, log: Captured) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, max_tokens=9, stream_options={"include_usage": True}) as answer:
        received = read(await answer.read())
    assert said(received) == "One two three"
    assert received[-1] == b"[DONE]"
    chunks = received[:-1]
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-first"}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert ["role" in chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]] == [True, *[False] * 4]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]] == [None] * 4 + ["stop"]
    # three tokens of prompt; two that came before the break, two after
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert b"token_ids" not in json.dumps(chunks).encode()
    (line,) = log.requests()
    assert (line["code"], line["retries"]) == (None, ["stream decode_failed continue"])


async def test_another_endpoint_is_asked_for_what_is_missing_and_no_more(start: Start) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, max_tokens=9, temperature=0, user="u") as answer:
        await answer.read()
    peer, body = asked(setup)
    assert body.pop(fields.KV_TRANSFER_PARAMS)
    assert body == {
        "model": MODEL,
        "prompt": [7, 8, 9, 1, 2],
        "max_tokens": 7,
        "temperature": 0,
        "stream": True,
        "return_token_ids": True,
    }
    (first,) = (each for each in (setup.decode, *setup.others) if f"POST {CHAT_COMPLETIONS}" in each.calls())
    assert peer is not first
    prefilled = [seen.body["prompt"] for seen in setup.prefill.seen if seen.path == COMPLETIONS]
    assert prefilled == [[7, 8, 9, 1, 2]]


async def test_an_endpoint_that_says_it_failed_is_left_in_the_same_way(start: Start) -> None:
    setup = await broken(start, begun=(*BEGUN, FAILED))
    async with setup.ask(stream=True) as answer:
        received = read(await answer.read())
    assert said(received) == "One two three"


def crlf(chunk: bytes) -> bytes:
    return chunk.replace(b"\n", b"\r\n")


def without_spaces(chunk: bytes) -> bytes:
    return chunk.replace(b"data: ", b"data:")


def with_comments(chunk: bytes) -> bytes:
    return b": ping\n\n" + chunk


FAILED = event({"error": {"message": "engine died", "type": "server_error", "param": None, "code": "x"}})


@pytest.mark.parametrize("written", [crlf, without_spaces, with_comments])
async def test_events_may_be_written_in_any_way_that_the_standard_allows(
    start: Start, written: Callable[[bytes], bytes], log: Captured
) -> None:
    setup = await broken(start, begun=tuple(map(written, (*BEGUN, FAILED))))
    for peer in (setup.decode, *setup.others):
        peer.rest = tuple(map(written, REST))
    async with setup.ask(stream=True) as answer:
        received = await answer.read()
    events = [line[5:].strip() for line in received.splitlines() if line.startswith(b"data:")]
    assert (said([json.loads(line) for line in events[:-1]]), events[-1]) == ("One two three", b"[DONE]")
    assert b"token_ids" not in received
    whole: Setup = await start("vllm")
    whole.decode.chunks = tuple(map(written, (*BEGUN, DONE)))
    async with whole.ask(stream=True) as answer:
        assert (await answer.read()).count(b"[DONE]") == 1
    assert [line["retries"] for line in log.requests()] == [["stream decode_failed continue"], []]


@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_lines_may_end_in_two_bytes_that_come_apart(start: Start, cut: int) -> None:
    setup: Setup = await start("vllm")
    text = crlf(b"".join((*BEGUN, DONE)))
    at = text.index(b"\r\n\r\n") + cut
    setup.decode.chunks = (text[:at], text[at:])
    async with setup.ask(stream=True) as answer:
        assert said(read(await answer.read())) == "One two"


async def test_a_stream_that_stands_still_goes_on_elsewhere(start: Start, forward: Forward, log: Captured) -> None:
    setup = await broken(start, begun=(b"".join(BEGUN), DONE))
    for peer in (setup.decode, *setup.others):
        peer.waits_after_first = True
    async with setup.ask(stream=True) as answer:
        received = await answer.content.readuntil(BEGUN[2].removesuffix(b"\n\n").split(b',"token_ids"')[0][-20:])
        forward(STALLED_SECONDS + 1)
        received += await answer.read()
    assert received.count(b"[DONE]") == 1
    assert said(read(received)) == "One two three"
    assert log.requests()[0]["retries"] == ["stream decode_failed continue"]


async def test_half_an_event_does_not_reach_the_client(start: Start) -> None:
    setup = await broken(start, begun=(*BEGUN, chat({"content": " three"}, [3])[:40]))
    async with setup.ask(stream=True) as answer:
        assert said(read(await answer.read())) == "One two three"


async def test_a_token_whose_text_did_not_come_is_decoded_again(start: Start) -> None:
    setup = await broken(start, begun=(*BEGUN, chat({}, [99])))
    async with setup.ask(stream=True) as answer:
        assert said(read(await answer.read())) == "One two three"
    assert asked(setup)[1]["prompt"] == [7, 8, 9, 1, 2]


async def test_one_endpoint_alone_may_go_on_itself(start: Start) -> None:
    setup = await broken(start, peers=1)
    async with setup.ask(stream=True) as answer:
        assert said(read(await answer.read())) == "One two three"


async def test_what_lacked_only_its_end_is_ended_here(start: Start) -> None:
    setup = await broken(start, begun=(*BEGUN, chat({}, [4], "stop")))
    async with setup.ask(stream=True, stream_options={"include_usage": True}) as answer:
        received = read(await answer.read())
    assert received[-1] == b"[DONE]"
    assert received[-2]["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    setup = await broken(start)
    async with setup.ask(stream=True, max_tokens=2) as answer:
        received = read(await answer.read())
    assert received[-2]["choices"][0]["finish_reason"] == "length"
    assert said(received) == "One two"


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({"repetition_penalty": 1.2}, {"repetition_penalty": 1.2}),
        ({"allowed_token_ids": [1, 2]}, {"allowed_token_ids": [1, 2]}),
        ({"min_tokens": 5}, {"min_tokens": 3}),
        ({"min_tokens": 1}, {"min_tokens": 0}),
        ({"chat_template_kwargs": {"enable_thinking": False}}, {}),
    ],
)
async def test_what_means_the_same_after_a_longer_prompt_goes_on(
    start: Start, more: dict[str, Any], kept: dict[str, Any]
) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, **more) as answer:
        assert said(read(await answer.read())) == "One two three"
    body = asked(setup)[1]
    assert {name: body[name] for name in kept} == kept
    assert body.keys() <= {"model", "prompt", "max_tokens", "stream", "return_token_ids", "kv_transfer_params", *kept}


THOUGHT = (
    chat({"role": "assistant", "content": ""}, []),
    chat({"reasoning": "Hm"}, [5]),
    chat({"reasoning": "."}, [6]),
)


async def test_an_answer_goes_on_once_its_reasoning_is_over(start: Start) -> None:
    setup = await broken(start, begun=(*THOUGHT, chat({}, [8]), chat({"content": "One two"}, [1, 2])))
    async with setup.ask(stream=True) as answer:
        received = read(await answer.read())
    assert said(received) == "One two three"
    assert asked(setup)[1]["prompt"] == [7, 8, 9, 5, 6, 8, 1, 2]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
async def test_half_a_reasoning_ends_with_an_error(start: Start, name: str) -> None:
    setup = await broken(start, begun=(THOUGHT[0], chat({name: "Hm"}, [5]), chat({}, [6])))
    async with setup.ask(stream=True) as answer:
        assert read(await answer.read())[-1]["error"]["code"] == "decode_failed"


@pytest.mark.parametrize("more", [{"tools": [{"type": "function"}]}, {"presence_penalty": 1}, {"made_up": 1}])
async def test_an_answer_that_could_go_on_otherwise_ends_with_an_error(start: Start, more: dict[str, Any]) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, **more) as answer:
        received = read(await answer.read())
    assert received[-1]["error"]["code"] == "decode_failed"
    seen = [seen.body for peer in (setup.decode, *setup.others) for seen in peer.seen if seen.path == CHAT_COMPLETIONS]
    assert ["return_token_ids" in body for body in seen] == [False]


async def test_a_client_that_asks_for_ids_sees_them(start: Start) -> None:
    setup = await broken(start)
    async with setup.ask(stream=True, return_token_ids=True) as answer:
        received = read(await answer.read())
    ids = [event["choices"][0].get("token_ids") for event in received[:-1] if event["choices"]]
    assert [one for each in ids for one in each] == [1, 2, 3, 4]
