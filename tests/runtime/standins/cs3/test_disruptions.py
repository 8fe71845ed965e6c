"""Clients that leave and workers that die leave nothing held."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.handoff import contract, fields, sidechannel
from runtime.handoff.contract import STATUS, Code
from tests.runtime.standins.cs3.flow import DECODE_KEY, Gateway, chat_body, free_port, prefill_worker, signed

pytestmark = pytest.mark.rehearsal

OUTCOMES = "tandem_decode_requests_total"
WORKER_HOST = "127.77.0.3"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_ends_its_answer(gateway: Gateway, stream: bool) -> None:
    before = await gateway.metric(OUTCOMES + '{code="cancelled"}')
    params = signed(await gateway.prefill(), await gateway.reserve(max_tokens=5000))
    body = chat_body(params, max_tokens=5000, temperature=2, seed=1, stream=stream)
    url, headers = gateway.emulator + contract.CHAT_COMPLETIONS, {"Authorization": f"Bearer {DECODE_KEY}"}
    if stream:
        async with gateway.http.post(url, json=body, headers=headers) as response:
            await response.content.readline()
            response.close()
    else:
        with pytest.raises(TimeoutError):
            await gateway.http.post(url, json=body, headers=headers, timeout=aiohttp.ClientTimeout(total=0.5))
    left = time.monotonic()
    await gateway.until_free()
    assert time.monotonic() - left < 3
    assert await gateway.metric(OUTCOMES + '{code="cancelled"}') == before + 1


async def test_a_client_that_leaves_during_a_handshake_frees_its_memory_at_once(gateway: Gateway) -> None:
    async with sidechannel.listener(WORKER_HOST, port := free_port(WORKER_HOST)):  # it never answers
        params: dict[str, Any] = {fields.REMOTE_ENGINE_ID: "silent", fields.REMOTE_REQUEST_ID: "silent-1"}
        params |= {fields.REMOTE_HOST: WORKER_HOST, fields.REMOTE_PORT: port}
        params |= {fields.REMOTE_BLOCK_IDS: [[1, 2, 3]], fields.REMOTE_NUM_TOKENS: 34}
        body = chat_body(signed(params, await gateway.reserve()))
        url, headers = gateway.emulator + contract.CHAT_COMPLETIONS, {"Authorization": f"Bearer {DECODE_KEY}"}
        with pytest.raises(TimeoutError):
            await gateway.http.post(url, json=body, headers=headers, timeout=aiohttp.ClientTimeout(total=0.3))
        left = time.monotonic()
        await gateway.until_free()
        assert time.monotonic() - left < 1


async def test_a_worker_that_died_is_told_in_time_and_its_successor_is_reached(
    gateway: Gateway, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with prefill_worker(log, WORKER_HOST) as (process, url):
        mortal = Gateway(gateway.http, gateway.emulator, url)
        assert (await mortal.decode(await mortal.ready())).status == 200
        params = [await mortal.ready() for _ in range(2)]
        process.kill()
        process.wait()
    started = time.monotonic()
    for answer in await asyncio.gather(*map(gateway.decode, params)):
        assert (answer.status, answer.code) == (STATUS[Code.KV_TRANSFER], "kv_transfer")
    assert time.monotonic() - started < 12
    with prefill_worker(log, WORKER_HOST) as (_, url):
        successor = Gateway(gateway.http, gateway.emulator, url)
        assert (await successor.decode(await successor.ready())).status == 200


@contextmanager
def standing_still(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a process for a while: its connections stay open, so only time limits and the fence can tell."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def test_a_worker_that_stands_still_costs_one_answer_and_no_memory(gateway: Gateway, tmp_path: Path) -> None:
    # the lease is short: it frees what nobody can be told of
    with prefill_worker(tmp_path / "worker.log", WORKER_HOST, lease_seconds=3) as (process, url):
        mortal = Gateway(gateway.http, gateway.emulator, url)
        params = await mortal.ready()
        started = time.monotonic()
        with standing_still(process):
            answer = await mortal.decode(params)
        assert (answer.status, answer.code) == (STATUS[Code.KV_TRANSFER], "kv_transfer")
        assert answer.body["error"]["phase"] == "handshake"
        assert time.monotonic() - started < 12
        right = await mortal.decode(await mortal.ready())
        assert right.status == 200
        await mortal.until_free()

        # now that hands are shaken: memory is read without the worker's help, or the READ runs into its limit
        params = await mortal.ready()
        with standing_still(process):
            answer = await mortal.decode(params)
        if answer.status == 200:
            assert answer.body["choices"][0]["message"] == right.body["choices"][0]["message"]
        else:
            assert (answer.code, answer.body["error"]["phase"]) == ("kv_transfer", "transfer")
        await mortal.until_free()
