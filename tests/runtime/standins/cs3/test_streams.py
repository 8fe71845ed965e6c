"""KV that is read while it is computed gives the same answers, and proves nothing by itself."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.handoff import contract, settings
from runtime.handoff.transport.choose import Transport
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tests.patience import HUNG_SECONDS
from tests.runtime.standins.cs3.flow import STREAMS, Gateway, emulator, prefill_worker, signed

LONG: list[Any] = [{"role": "user", "content": "Blocks are read while others are written. " * 60}]
STREAMED = "tandem_decode_kv_streamed_total"
LATE = "tandem_decode_kv_late_bytes_total"
RESERVED = "tandem_decode_reserved_bytes"
WORKER_HOST = "127.77.0.6"


async def streamed(gateway: Gateway, messages: object = LONG, **claims: Any) -> dict[str, Any]:
    reservation = await gateway.reserve(prompt_tokens=600)
    return signed(await gateway.prefill(messages, STREAMS[reservation]), reservation, **claims)


def alone(engine: Engine, messages: list[Any]) -> str:
    prompt = engine.tokenizer.chat(messages)
    cache = engine.new_cache(len(prompt) + 8)
    engine.prefill(prompt, cache)
    return engine.tokenizer.decode(list(engine.generate(prompt, cache, Sampling(), max_tokens=8)))


@pytest.mark.parametrize("transport", [Transport.UCX, Transport.TCP])
async def test_streamed_kv_gives_the_same_answer(
    transport: Transport, http: aiohttp.ClientSession, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.TRANSPORT, transport)
    with (
        emulator(tmp_path / "emulator.log") as (_, decode),
        prefill_worker(tmp_path / "worker.log", WORKER_HOST) as (_, prefill),
    ):
        gateway = Gateway(http, decode, prefill)
        for _ in range(2):  # the second finds hands shaken
            answer = await gateway.decode(await streamed(gateway), LONG)
            assert answer.status == 200, answer.body
            assert answer.body["choices"][0]["message"]["content"] == alone(engine, LONG)
            prompt = engine.tokenizer.chat(LONG)
            assert int(answer.headers[contract.KV_BYTES_HEADER]) == len(prompt) * engine.geometry.kv_bytes_per_token
        assert await gateway.metric(STREAMED) == 2
        assert await gateway.metric('tandem_decode_kv_imports_total{integrity="digest"}') == 2
        await gateway.until_free()


async def test_who_does_not_pass_the_invitation_on_is_read_after_prefill(gateway: Gateway) -> None:
    before = await gateway.metric(STREAMED)
    assert (await gateway.decode(await gateway.ready())).status == 200
    assert await gateway.metric(STREAMED) == before


async def test_another_request_gets_no_kv_of_a_stream(gateway: Gateway, engine: Engine) -> None:
    """The stream of one prefill, the decode of another: the first is dropped, the other read for itself."""
    before = await gateway.metric(STREAMED)
    reservation = await gateway.reserve(prompt_tokens=600)
    first = await gateway.prefill(LONG, STREAMS[reservation])
    other: list[Any] = [{"role": "user", "content": "Blocks are written while others are read. " * 60}]
    answer = await gateway.decode(signed(await gateway.prefill(other), reservation), other)
    assert answer.status == 200
    assert answer.body["choices"][0]["message"]["content"] == alone(engine, other)
    assert await gateway.metric(STREAMED) == before
    assert (await gateway.decode(signed(first, await gateway.reserve(prompt_tokens=600)), LONG)).status == 200


async def test_a_withdrawn_reservation_ends_its_stream_and_frees_its_memory(gateway: Gateway) -> None:
    reservation = await gateway.reserve(prompt_tokens=600)
    prefill = asyncio.create_task(gateway.prefill(LONG * 4, STREAMS[reservation]))
    async with asyncio.timeout(HUNG_SECONDS):
        while await gateway.metric(RESERVED) < 600 * 23_040 * 2:  # the stream holds what the prompt really needs
            await asyncio.sleep(0.01)
    await gateway.ask("DELETE", f"{contract.RESERVATIONS}/{reservation}")
    async with asyncio.timeout(HUNG_SECONDS):
        while await gateway.metric(RESERVED):
            await asyncio.sleep(0.01)
    prefill.cancel()  # and with it the worker's blocks, unless it was the faster
    await asyncio.wait([prefill])
    if not prefill.cancelled():
        await gateway.abort(signed(prefill.result(), "none"))


async def test_streamed_kv_that_is_not_what_the_worker_digested_is_refused(gateway: Gateway) -> None:
    reservation = await gateway.reserve(prompt_tokens=600)
    params = await gateway.prefill(LONG, STREAMS[reservation])
    seal = params["tandem"]["seal"]
    digests = base64.b64decode(seal["digests"])
    params["tandem"]["seal"] = seal | {"digests": base64.b64encode(digests[:-1] + bytes([digests[-1] ^ 1])).decode()}
    answer = await gateway.decode(signed(params, reservation), LONG)
    assert (answer.code, answer.body["error"]["phase"]) == ("kv_corrupt", "verify")
    assert "the first is block 3" in answer.body["error"]["message"]  # the last


async def test_a_lease_that_may_have_ended_refuses_what_was_streamed_in_time(gateway: Gateway) -> None:
    params = await streamed(gateway, lease_ms=1)
    await asyncio.sleep(0.01)
    answer = await gateway.decode(params, LONG)
    assert (answer.code, answer.body["error"]["phase"]) == ("kv_stale", "transfer")


async def test_what_is_left_at_the_end_of_prefill_is_little(gateway: Gateway) -> None:
    await gateway.decode(await streamed(gateway), LONG)  # hands are shaken, memory is touched
    before = await gateway.metric(LATE), await gateway.metric(STREAMED)
    messages = LONG * 4  # whose prefill takes so long that the endpoint's core may be away for a second or two
    answer = await gateway.decode(await streamed(gateway, messages), messages)
    late, streams = await gateway.metric(LATE) - before[0], await gateway.metric(STREAMED) - before[1]
    assert (answer.status, streams) == (200, 1)
    assert late < int(answer.headers[contract.KV_BYTES_HEADER]) / 2
