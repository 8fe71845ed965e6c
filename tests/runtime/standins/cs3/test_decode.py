"""Answers decoded from KV that was really moved equal those of one process."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from runtime.handoff import contract, fields
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tests.runtime.standins.cs3.flow import DECODE_KEY, MODEL, SHORT, Gateway, chat_body, signed

LONG = [
    {"role": "system", "content": "You answer in few words."},
    {"role": "user", "content": "The quick brown fox jumps over the lazy dog. " * 200 + "Who jumps?"},
]


def single_process(engine: Engine, messages: Any, max_tokens: int, sampling: Sampling) -> tuple[list[int], list[int]]:
    """Return the prompt's and the answer's tokens of a run without any handoff."""
    prompt = engine.tokenizer.chat(messages)
    cache = engine.new_cache(len(prompt) + max_tokens)
    engine.prefill(prompt, cache)
    return prompt, list(engine.generate(prompt, cache, sampling, max_tokens=max_tokens))


def timings(headers: Any) -> dict[str, float]:
    parts = (part.split(";dur=") for part in headers[contract.SERVER_TIMING].split(", "))
    return {name: float(spent) for name, spent in parts}


@pytest.mark.parametrize(
    ("messages", "least_tokens"), [(SHORT, 1), pytest.param(LONG, 2000, marks=pytest.mark.rehearsal)]
)
async def test_greedy_answers_equal_the_single_process_and_exactly_the_prompts_kv_is_moved(
    gateway: Gateway, engine: Engine, messages: Any, least_tokens: int
) -> None:
    prompt, tokens = single_process(engine, messages, 8, Sampling())
    assert len(prompt) >= least_tokens
    before = await gateway.metric("tandem_decode_kv_bytes_total")
    reservation = await gateway.reserve(prompt_tokens=len(prompt))
    params = signed(await gateway.prefill(messages), reservation)
    answer = await gateway.decode(params, messages, return_token_ids=True)
    assert answer.status == 200, answer.body
    assert answer.body["choices"][0]["token_ids"] == tokens
    assert answer.body["choices"][0]["message"] == {"role": "assistant", "content": engine.tokenizer.decode(tokens)}
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(tokens), "total_tokens": len(prompt) + len(tokens)}
    assert answer.body["usage"] == usage
    assert int(answer.headers[contract.KV_BYTES_HEADER]) == 23_040 * len(prompt)
    assert await gateway.metric("tandem_decode_kv_bytes_total") - before == 23_040 * len(prompt)
    assert list(timings(answer.headers)) == ["handshake", "transfer", "verify"]
    spent = answer.body["time_info"]
    assert spent["total_time"] == pytest.approx(sum(spent.values()) - spent["total_time"])


@pytest.mark.parametrize("as_ids", [False, True])
async def test_a_text_is_gone_on_with_as_in_a_single_process(gateway: Gateway, engine: Engine, as_ids: bool) -> None:
    text = "The three primary colours are"
    ids = engine.tokenizer.encode(text)
    cache = engine.new_cache(len(ids) + 8)
    engine.prefill(ids, cache)
    tokens = list(engine.generate(ids, cache, Sampling(), max_tokens=8))
    asked = {"model": MODEL, "prompt": ids if as_ids else text, "temperature": 0}
    params = signed(await gateway.prefill_text(asked), await gateway.reserve())
    body = {**asked, "max_tokens": 8, fields.KV_TRANSFER_PARAMS: params}
    answer = await gateway.ask("POST", contract.COMPLETIONS, body)
    assert (answer.status, answer.body["object"]) == (200, "text_completion"), answer.body
    assert answer.body["choices"][0]["text"] == engine.tokenizer.decode(tokens)


async def test_seeded_sampling_equals_the_single_process(gateway: Gateway, engine: Engine) -> None:
    _, tokens = single_process(engine, SHORT, 8, Sampling(temperature=0.8, top_p=0.9, seed=7))
    answer = await gateway.decode(await gateway.ready(), temperature=0.8, top_p=0.9, seed=7)
    assert answer.body["choices"][0]["message"]["content"] == engine.tokenizer.decode(tokens)


async def test_a_stop_string_ends_the_answer_before_itself(gateway: Gateway, engine: Engine) -> None:
    text = engine.tokenizer.decode(single_process(engine, SHORT, 8, Sampling())[1])
    stop = text[5:9]
    answer = await gateway.decode(await gateway.ready(), stop=[stop])
    choice = answer.body["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (text[: text.index(stop)], "stop")


async def test_without_max_tokens_the_reservation_limits_the_answer(gateway: Gateway) -> None:
    reservation = await gateway.reserve(max_tokens=3)
    answer = await gateway.decode(signed(await gateway.prefill(), reservation), max_tokens=None)
    assert answer.body["usage"]["completion_tokens"] == 3
    assert answer.body["choices"][0]["finish_reason"] == "length"


async def test_openais_client_reads_the_stream(gateway: Gateway, engine: Engine) -> None:
    prompt, tokens = single_process(engine, SHORT, 8, Sampling())
    params = await gateway.ready()
    async with openai.AsyncOpenAI(base_url=f"{gateway.emulator}/v1", api_key=DECODE_KEY) as client:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=SHORT,
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={fields.KV_TRANSFER_PARAMS: params, "return_token_ids": True},
        )
        chunks = [chunk async for chunk in stream]
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == engine.tokenizer.decode(tokens)
    # the client keeps fields that it does not know
    assert [token for choice in choices for token in choice.model_dump().get("token_ids", [])] == tokens
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["length"]
    assert len({chunk.id for chunk in chunks}) == 1
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (len(prompt), len(tokens))


async def test_streamed_events_end_with_done_and_hold_usage_only_if_asked(gateway: Gateway) -> None:
    answer = await gateway.decode(await gateway.ready(), stream=True)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    *events, done, rest = answer.body.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert not any("usage" in chunk for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert not any("token_ids" in chunk["choices"][0] for chunk in chunks)
    assert chunks[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}


async def test_two_answers_take_turns(gateway: Gateway) -> None:
    """One that is long must not keep a later, short one waiting until it ends."""
    reservation = await gateway.reserve(max_tokens=5000)
    long = chat_body(signed(await gateway.prefill(), reservation), max_tokens=5000, stream=True, seed=1, temperature=2)
    short = await gateway.ready()
    headers = {"Authorization": f"Bearer {DECODE_KEY}"}
    url = gateway.emulator + contract.CHAT_COMPLETIONS
    async with gateway.http.post(url, json=long, headers=headers) as response:
        await response.content.readline()
        assert (await gateway.decode(short)).status == 200
        assert await gateway.metric("tandem_decode_active") == 1
