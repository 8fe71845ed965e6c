"""An answer that another endpoint began is gone on with as if all of it had been decoded here, whatever was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.handoff import contract, fields
from runtime.standins.engine.engine import Engine
from tests.runtime.standins.cs3.flow import DECODE_KEY, MODEL, SHORT, Gateway, chat_body, signed

TOKENS = 12


async def streamed(gateway: Gateway, prompt: list[int], received: list[int], **more: Any) -> list[dict[str, Any]]:
    """Return the events of what follows ``received``."""
    reservation = await gateway.reserve(prompt_tokens=len(prompt) + len(received), max_tokens=TOKENS)
    kv = await gateway.prefill_text({"model": MODEL, "prompt": prompt + received})
    asked = {"stream": True, "return_token_ids": True, "stream_options": {"include_usage": True}, "max_tokens": TOKENS}
    told = {fields.RECEIVED: received} if received else {}
    body = chat_body(signed(kv, reservation), **asked, **told, **more)
    headers = {"Authorization": f"Bearer {DECODE_KEY}"}
    async with gateway.http.post(gateway.emulator + contract.CHAT_COMPLETIONS, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        events = (await answer.text()).removesuffix("\n\n").split("\n\n")
    assert events.pop() == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


class Near(float):
    """Equal a logarithm of a probability that differs by no more than KV in halves lets it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(float(self) - float(other)) < 0.1

    __hash__ = float.__hash__


def choices(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the choices but that which tells the role."""
    found = json.loads(json.dumps([event["choices"][0] for event in events if event["choices"]]), parse_float=Near)
    return [choice for choice in found if "role" not in choice["delta"]]


ASKED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "penalties": {"presence_penalty": -2, "frequency_penalty": -2},
    "probabilities": {"logprobs": True, "top_logprobs": 1},
    "a text to stop at": {"stop": ["blue"]},
    "JSON": {"response_format": {"type": "json_object"}},
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_after_each_event_what_follows_is_what_followed(
    gateway: Gateway, engine: Engine, asked: dict[str, Any]
) -> None:
    prompt = engine.tokenizer.chat(SHORT)
    whole = await streamed(gateway, prompt, [], **asked)
    told = choices(whole)
    for cut in (1, len(told) // 2, len(told) - 1):
        received = [token for choice in told[:cut] for token in choice["token_ids"]]
        rest = await streamed(gateway, prompt, received, **asked)
        assert choices(rest) == told[cut:]
        assert rest[-1]["usage"] == whole[-1]["usage"]
        assert not any("role" in choice["delta"] for event in rest for choice in event["choices"])


async def test_penalties_change_the_answer(gateway: Gateway, engine: Engine) -> None:
    prompt = engine.tokenizer.chat(SHORT)
    plain, penalized = [
        choices(await streamed(gateway, prompt, [], **ASKED[name])) for name in ("nothing", "penalties")
    ]
    assert plain != penalized


async def test_probabilities_are_those_of_the_tokens(gateway: Gateway, engine: Engine) -> None:
    events = await streamed(gateway, engine.tokenizer.chat(SHORT), [], **ASKED["probabilities"])
    for choice in [event["choices"][0] for event in events if event["choices"]][1:-1]:
        entries = choice["logprobs"]["content"]
        assert len(entries) == len(choice["token_ids"])
        for token, entry in zip(choice["token_ids"], entries, strict=True):
            assert bytes(entry["bytes"]) == engine.tokenizer.token_bytes(token)
            [likeliest] = entry["top_logprobs"]
            assert (entry["token"], entry["logprob"]) == (likeliest["token"], likeliest["logprob"])  # greedy
            assert entry["logprob"] < 0


async def test_an_answer_at_its_limit_only_ends(gateway: Gateway, engine: Engine) -> None:
    prompt = engine.tokenizer.chat(SHORT)
    told = choices(await streamed(gateway, prompt, []))
    received = [token for choice in told for token in choice["token_ids"]]
    received = (received * TOKENS)[:TOKENS]
    [last] = choices(await streamed(gateway, prompt, received))
    assert (last["finish_reason"], last["token_ids"], last["delta"]) == ("length", [], {})


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        (contract.COMPLETIONS, [49_152]),
        *((contract.CHAT_COMPLETIONS, ids) for ids in ([], [-1], [True], ["a"], "ab", 7, [49_152])),
    ],
)
async def test_what_is_no_answer_is_refused(gateway: Gateway, path: str, ids: object) -> None:
    body = chat_body({}) | {fields.RECEIVED: ids}
    if path == contract.COMPLETIONS:
        body = {**{name: value for name, value in body.items() if name != "messages"}, "prompt": "x"}
    answer = await gateway.ask("POST", path, body)
    assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize("of", ["text", "ids"])
async def test_a_completion_is_taken_up_as_a_chat_is(gateway: Gateway, engine: Engine, of: str) -> None:
    text = "Three colours are"
    ids = engine.tokenizer.encode(text)
    asked = {"model": MODEL, "prompt": text if of == "text" else ids, "max_tokens": TOKENS, "temperature": 0}

    async def answered(received: list[int]) -> tuple[str, list[int], object]:
        reservation = await gateway.reserve(prompt_tokens=len(ids) + len(received), max_tokens=TOKENS)
        kv = await gateway.prefill_text({"model": MODEL, "prompt": ids + received})
        told = {fields.RECEIVED: received} if received else {}
        body = {**asked, **told, fields.KV_TRANSFER_PARAMS: signed(kv, reservation), "return_token_ids": True}
        answer = await gateway.ask("POST", contract.COMPLETIONS, body)
        assert answer.status == 200, answer.body
        [choice] = answer.body["choices"]
        return choice["text"], choice["token_ids"], answer.body["usage"]

    whole, tokens, usage = await answered([])
    received = tokens[: TOKENS // 2]
    assert await answered(received) == (
        whole.removeprefix(engine.tokenizer.decode(received)),
        tokens[len(received) :],
        usage,
    )


async def test_an_answer_that_no_json_begins_with_is_refused(gateway: Gateway, engine: Engine) -> None:
    prompt, received = engine.tokenizer.chat(SHORT), engine.tokenizer.encode("Red")
    kv = await gateway.prefill_text({"model": MODEL, "prompt": prompt + received})
    params = signed(kv, await gateway.reserve(prompt_tokens=len(prompt) + len(received)))
    answer = await gateway.decode(params, **{fields.RECEIVED: received, **ASKED["JSON"]})
    assert (answer.status, answer.code) == (400, "invalid_request")


async def test_kv_without_the_answer_so_far_is_refused(gateway: Gateway) -> None:
    answer = await gateway.decode(await gateway.ready(), **{fields.RECEIVED: [1, 2]})
    assert answer.code == "kv_foreign"
