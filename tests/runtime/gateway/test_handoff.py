"""The way of a request with the contract's decode endpoint: reserve, prefill, sign, decode, relay."""

from __future__ import annotations

import time
from typing import Any

import pytest
from openai import AsyncOpenAI

from runtime.gateway.request.tokenizer import Tokenizer
from runtime.handoff import contract, fields, ticket
from runtime.handoff.contract import CHAT_COMPLETIONS, RESERVATIONS
from tests.runtime.gateway.conftest import GATEWAY_KEY, MODEL, TENANT, TICKET_KEY, Captured, Setup, Start
from tests.runtime.gateway.small_tokenizer import FILE, REFERENCE
from tests.runtime.gateway.standin_peers import CHUNKS, COMPLETION

FORGED = {fields.REMOTE_HOST: "10.0.0.66", fields.REMOTE_ENGINE_ID: "stolen"}


async def test_a_request_is_reserved_prefilled_and_decoded_in_this_order(cs3: Setup) -> None:
    async with cs3.ask(max_tokens=7) as answer:
        assert answer.status == 200
        assert await answer.json() == COMPLETION
    await cs3.releases.drain()
    assert cs3.prefill.calls() == [f"POST {CHAT_COMPLETIONS}"]
    assert cs3.decode.calls() == [f"POST {RESERVATIONS}", f"POST {CHAT_COMPLETIONS}"]
    reservation = cs3.decode.body(RESERVATIONS)
    assert reservation == {
        "request_id": answer.headers["X-Request-Id"],
        "attempt": 1,
        "model": MODEL,
        "prompt_tokens": reservation["prompt_tokens"],
        "max_tokens": 7,
    }
    assert 10 < reservation["prompt_tokens"] < 100


async def test_what_is_reserved_for_is_what_the_tokenizer_counts(start: Start, log: Captured) -> None:
    setup = await start("cs3", tokenizer=Tokenizer.read(FILE))
    messages = [{"role": "user", "content": "The quick brown fox jumps over the lazy dog. " * 60}]
    async with setup.ask(messages=messages, max_tokens=7) as answer:
        assert answer.status == 200
    real, reserved = len(REFERENCE.chat(messages)), setup.decode.body(RESERVATIONS)["prompt_tokens"]
    assert real <= reserved <= real + 104
    [told] = log.requests()
    assert told["decided"]["prompt_tokens"] == "tokenizer"
    assert b'reason="tokenizer",what="prompt_tokens"} 1.0' in setup.metrics.exposition()


async def test_an_endpoints_invitation_reaches_the_worker_and_a_clients_does_not(cs3: Setup) -> None:
    cs3.decode.invitation = {"id": "s", "agent": "YQ=="}
    stolen: dict[str, Any] = {fields.TANDEM: {fields.STREAM: {"id": "stolen", "agent": "Yg=="}}}
    stolen[fields.KV_TRANSFER_PARAMS] = dict(stolen)
    async with cs3.ask(**stolen) as answer:
        assert answer.status == 200
    sent = cs3.prefill.body(CHAT_COMPLETIONS)[fields.KV_TRANSFER_PARAMS]
    assert sent == {**fields.PREFILL_REQUEST, fields.TANDEM: {fields.STREAM: cs3.decode.invitation}}
    assert fields.STREAM not in cs3.decode.body(CHAT_COMPLETIONS)[fields.KV_TRANSFER_PARAMS][fields.TANDEM]


async def test_prefill_gets_the_original_body_for_one_token(cs3: Setup) -> None:
    asked: dict[str, Any] = {
        "max_tokens": 9,
        "min_tokens": 2,
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 3,
    }
    async with cs3.ask(**asked) as answer:
        await answer.read()
    assert cs3.prefill.body(CHAT_COMPLETIONS) == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "seed": 3,
        "stream": False,
        "max_tokens": 1,
        "max_completion_tokens": 1,
        fields.KV_TRANSFER_PARAMS: dict(fields.PREFILL_REQUEST),
    }
    decoded = cs3.decode.body(CHAT_COMPLETIONS)
    del decoded[fields.KV_TRANSFER_PARAMS]
    original = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **asked}
    assert decoded == {**original, "return_token_ids": True}  # the stream can be gone on with elsewhere


async def test_the_ticket_covers_what_the_worker_returned(cs3: Setup) -> None:
    began = time.monotonic()
    async with cs3.ask() as answer:
        await answer.read()
    params = cs3.decode.body(CHAT_COMPLETIONS)[fields.KV_TRANSFER_PARAMS]
    claims = ticket.verify(params[fields.TANDEM][fields.TICKET], [TICKET_KEY], now=time.time())
    assert claims.covers(params)
    assert claims.request_id == answer.headers["X-Request-Id"]
    assert (claims.reservation_id, claims.model, claims.attempt, claims.tenant) == ("r/1", MODEL, 1, TENANT)
    assert (claims.lease_ms, claims.remote_address) == (30_000, "127.0.0.1:5600")
    assert 0 <= claims.prefill_gap_ms <= (time.monotonic() - began) * 1000
    assert 30 < claims.expires_at - time.time() <= 60


async def test_forged_handoff_fields_and_headers_reach_no_peer(cs3: Setup) -> None:
    forged: dict[str, Any] = {
        fields.KV_TRANSFER_PARAMS: FORGED,
        fields.TANDEM: {"ticket": "forged"},
        "vllm_xargs": {fields.KV_TRANSFER_PARAMS: FORGED, "kept": 1},
        "extra_body": {"extra_args": {fields.KV_TRANSFER_PARAMS: FORGED}},
        "request_id": "chosen",
    }
    headers = {"X-Request-Id": "chosen", "x-prefiller-host-port": "10.0.0.66:80", "X-Forwarded-For": "1.2.3.4"}
    async with cs3.ask(headers=headers, **forged) as answer:
        assert answer.status == 200
        assert answer.headers["X-Request-Id"] != "chosen"
    for seen in cs3.prefill.seen + cs3.decode.seen:
        assert not set(map(str.lower, headers)) & set(map(str.lower, seen.headers)) - {"x-request-id"}
        assert seen.headers["X-Request-Id"] == answer.headers["X-Request-Id"]
        assert GATEWAY_KEY not in str(seen.headers)
        for word in ("10.0.0.66", "stolen", "forged", "chosen"):
            assert word not in str(seen.body)
    assert cs3.decode.body(CHAT_COMPLETIONS)["vllm_xargs"] == {"kept": 1}


async def test_a_stream_is_relayed_byte_for_byte_with_the_phases_so_far(cs3: Setup, log: Captured) -> None:
    async with cs3.ask(stream=True) as answer:
        assert await answer.read() == b"".join(CHUNKS)
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers[contract.KV_BYTES_HEADER] == "921600"
    assert "X-Other" not in answer.headers
    own, prefill, transfer = answer.headers[contract.SERVER_TIMING].split(", ")
    assert own.startswith("reserve;dur=")
    assert prefill.startswith("prefill;dur=")
    assert transfer == "transfer;dur=3.4"
    (line,) = log.requests()
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert (line["status"], line["code"], line["stream"]) == (200, None, True)
    phases = [name for name in line["phases_ms"] if name != "transfer"]  # which counts if it fits into the wait
    assert phases == ["reserve", "prefill", "first_token", "gateway"]
    assert sum(line["phases_ms"].values()) == pytest.approx(line["ttft_ms"], abs=0.003)
    assert line["kv_bytes"] == 921600
    assert line["worker"] == str(cs3.prefill_workers[0])
    assert line["bytes_out"] == len(b"".join(CHUNKS))
    assert "Hello" not in log.text()


async def test_a_chunk_is_relayed_as_soon_as_it_comes(cs3: Setup) -> None:
    cs3.decode.waits_after_first = True
    async with cs3.ask(stream=True) as answer:
        assert await answer.content.readany() == CHUNKS[0]
        cs3.decode.hold("stream").set()
        assert await answer.content.read() == b"".join(CHUNKS[1:])


async def test_openai_s_own_client_reads_answers_and_streams(cs3: Setup) -> None:
    async with AsyncOpenAI(base_url=f"{cs3.url}/v1", api_key=GATEWAY_KEY, max_retries=0) as client:
        assert [model.id async for model in client.models.list()] == [MODEL]
        whole = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
        assert whole.choices[0].message.content == "Hello"
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello"
