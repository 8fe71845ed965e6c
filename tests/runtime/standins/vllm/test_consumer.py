"""A decode worker reads what a prefill worker keeps: both of them real servers, with NIXL between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from runtime.handoff import fields
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from runtime.standins.vllm import consumer
from tests.patience import HUNG_SECONDS, LONG_SECONDS
from tests.runtime.standins.vllm.conftest import Client, Heartbeats, Start, kv_config

PROMPT = "The capital of France is"
KV_BYTES_PER_TOKEN = 23_040
CHAT = {"model": "org/model", "messages": [{"role": "user", "content": "Name the planets, nearest first."}]}


@pytest.fixture
async def both(start: Start) -> AsyncIterator[tuple[Client, Client]]:
    """Serve a prefill worker and a decode worker."""
    async with AsyncExitStack() as stack:
        prefill = await stack.enter_async_context(start())
        decode = await stack.enter_async_context(start(kv_config(role="kv_consumer")))
        yield prefill, decode


def greedy(params: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    told = {fields.KV_TRANSFER_PARAMS: params} if params else {}
    return {"temperature": 0, "max_tokens": 6, "return_token_ids": True, **told, **more}


def alone(engine: Engine, prompt: list[int], tokens: int) -> list[int]:
    """Return a single process's answer."""
    cache = engine.new_cache(len(prompt) + tokens)
    engine.prefill(prompt, cache)
    return list(engine.generate(prompt, cache, Sampling(), max_tokens=tokens))


async def events(client: Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with client.http.post("/v1/chat/completions", json=body | {"stream": True}) as response:
        assert response.status == 200
        text = await response.text()
    assert text.endswith("data: [DONE]\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in text.split("\n\n")[:-2]]


async def test_what_is_read_is_decoded_as_in_one_process(both: tuple[Client, Client], engine: Engine) -> None:
    prefill, decode = both
    prompt = engine.tokenizer.encode(PROMPT * 40)
    params = await prefill.prefill(prompt)
    status, body = await decode.post(greedy(params, prompt=prompt), path="/v1/completions")
    assert (status, body["choices"][0]["token_ids"]) == (200, alone(engine, prompt, 6))
    assert await decode.metric("nixl_bytes_transferred_sum") == len(prompt) * KV_BYTES_PER_TOKEN
    await prefill.until("kv_cache_usage_perc", 0)
    assert await decode.metric("kv_cache_usage_perc") == 0


async def test_a_stream_tells_the_ids_of_its_tokens(both: tuple[Client, Client], engine: Engine) -> None:
    prefill, decode = both
    prompt = engine.tokenizer.chat(CHAT["messages"])  # type: ignore[arg-type]  # the dict holds several types
    _, prefilled = await prefill.post(
        CHAT | {"temperature": 0, "max_tokens": 1, "kv_transfer_params": {"do_remote_decode": True}}
    )
    chunks = await events(decode, greedy(prefilled[fields.KV_TRANSFER_PARAMS], **CHAT))
    ids = [token for chunk in chunks for choice in chunk["choices"] for token in choice.get("token_ids", [])]
    assert ids == alone(engine, prompt, 6)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


async def test_a_worker_that_reads_prefills_by_itself_what_nobody_prefilled(
    both: tuple[Client, Client], engine: Engine
) -> None:
    prompt = engine.tokenizer.encode(PROMPT)
    status, body = await both[1].post(greedy(prompt=prompt), path="/v1/completions")
    assert (status, body["choices"][0]["token_ids"]) == (200, alone(engine, prompt, 6))
    assert await both[1].metric("nixl_bytes_transferred_sum") == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"remote_engine_id": "another"}, "the KV is of 'another'"),
        ({"remote_num_tokens": 7}, "the KV 7"),
        ({"remote_block_ids": [[1]]}, "1 blocks of 16 tokens came"),
        ({"remote_block_ids": [[1], [2]]}, "2 block groups"),
        ({"remote_port": 1}, "no NIXL handshake"),
    ],
)
async def test_kv_that_cannot_be_read_fails_the_request(
    both: tuple[Client, Client], engine: Engine, changed: dict[str, Any], reason: str
) -> None:
    prefill, decode = both
    prompt = engine.tokenizer.encode(PROMPT * 10)
    params = await prefill.prefill(prompt) | changed
    if "remote_num_tokens" in changed:
        del params[fields.TANDEM]  # a seal of another length is refused before that
    status, body = await decode.post(greedy(params, prompt=prompt), path="/v1/completions")
    assert status == 500
    assert reason in body["error"]["message"]
    assert await decode.metric("nixl_num_failed_transfers_total") == 1


async def test_a_stream_tells_that_its_kv_could_not_be_read(both: tuple[Client, Client]) -> None:
    prefill, decode = both
    params = await prefill.prefill([1, 2, 3])
    chunks = await events(decode, greedy(params, **CHAT))
    assert chunks[-1]["error"]["code"] == 500
    assert [chunk for chunk in chunks if chunk.get("choices") and chunk["choices"][0]["finish_reason"]] == []


async def test_other_bytes_than_were_digested_are_not_decoded(both: tuple[Client, Client], engine: Engine) -> None:
    prefill, decode = both
    prompt = engine.tokenizer.encode(PROMPT)
    first, second = await prefill.prefill(prompt), await prefill.prefill(list(reversed(prompt)))
    mixed = first | {fields.REMOTE_BLOCK_IDS: second[fields.REMOTE_BLOCK_IDS]}
    status, body = await decode.post(greedy(mixed, prompt=prompt), path="/v1/completions")
    assert status == 500
    assert "are not what the worker computed" in body["error"]["message"]


async def test_where_it_is_told_to_recompute_it_prefills_what_it_cannot_read(start: Start, engine: Engine) -> None:
    async with start(kv_config(role="kv_consumer", kv_load_failure_policy="recompute")) as decode, start() as prefill:
        prompt = engine.tokenizer.encode(PROMPT)
        params = await prefill.prefill(prompt) | {fields.REMOTE_ENGINE_ID: "another"}
        _, body = await decode.post(greedy(params, prompt=prompt), path="/v1/completions")
        assert body["choices"][0]["token_ids"] == alone(engine, prompt, 6)


async def test_a_worker_of_another_model_is_not_read(start: Start, engine: Engine) -> None:
    async with start() as prefill, start(kv_config(role="kv_consumer"), model="org/other") as decode:
        prompt = engine.tokenizer.encode(PROMPT)
        params = await prefill.prefill(prompt)
        status, body = await decode.post(greedy(params, prompt=prompt), path="/v1/completions")
    assert status == 500
    assert "runs another model" in body["error"]["message"]


async def test_a_request_that_waits_holds_its_lease_and_one_that_leaves_lets_it_go(
    start: Start, heartbeats: Heartbeats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "BEATS", LONG_SECONDS * 20)  # twenty a second
    async with start(lease=30) as prefill, start(kv_config(role="kv_consumer")) as decode:
        busy = asyncio.create_task(decode.post({"prompt": [7] * 8000, "max_tokens": 1}, path="/v1/completions"))
        await decode.until("num_requests_running", 1)
        params, _ = await prefill.prefill([1, 2, 3]), await prefill.prefill([4, 5, 6])
        waits = asyncio.create_task(decode.post(greedy(params, prompt=[1, 2, 3]), path="/v1/completions"))
        heartbeats.now = 29.0
        heartbeats.heard.clear()
        await asyncio.wait_for(heartbeats.heard.wait(), HUNG_SECONDS)
        heartbeats.now = 31.0
        await prefill.until("nixl_num_kv_expired_reqs_total", 1)  # the one that nobody wants
        assert await prefill.metric("kv_cache_usage_perc") > 0
        waits.cancel()
        await prefill.until("kv_cache_usage_perc", 0)
        assert await prefill.metric("nixl_num_kv_expired_reqs_total") == 1
        busy.cancel()
        await decode.until("num_requests_running", 0)


@pytest.mark.parametrize("missing", sorted(fields.REQUIRED))
async def test_parameters_that_lack_something_are_refused(both: tuple[Client, Client], missing: str) -> None:
    prefill, decode = both
    params = await prefill.prefill([1, 2, 3])
    del params[missing]
    status, body = await decode.post(greedy(params, prompt=[1, 2, 3]), path="/v1/completions")
    assert (status, missing in body["error"]["message"]) == (400, True)


async def test_each_refuses_what_is_the_others(both: tuple[Client, Client]) -> None:
    prefill, decode = both
    params = await prefill.prefill([1, 2, 3])
    assert (await prefill.post(greedy(params, prompt=[1, 2, 3]), path="/v1/completions"))[0] == 400
    asked = {"prompt": [1, 2, 3], "max_tokens": 1, fields.KV_TRANSFER_PARAMS: dict(fields.PREFILL_REQUEST)}
    assert (await decode.post(asked, path="/v1/completions"))[0] == 400
