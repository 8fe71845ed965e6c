"""Clients that leave and workers that die leave nothing held."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.handoff import contract, fields, sidechannel
from runtime.handoff.contract import STATUS, Code
from tests.patience import HUNG_SECONDS
from tests.ports import free_port
from tests.runtime.standins.cs3.flow import DECODE_KEY, Gateway, chat_body, emulator, prefill_worker, signed

pytestmark = pytest.mark.rehearsal

CANCELLED = 'tandem_decode_requests_total{code="cancelled"}'
WORKER_HOST = "127.77.0.3"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of an emulator that takes a worker for gone after 10 s of a handshake."""
    with emulator(tmp_path_factory.mktemp("impatient") / "emulator.log", "--handshake-seconds=10") as (_, url):
        yield url


@pytest.fixture
async def to_mortals(impatient: str, gateway: Gateway) -> AsyncIterator[Gateway]:
    """Yield a gateway to that emulator."""
    to_mortals = Gateway(gateway.http, impatient, gateway.worker)
    yield to_mortals
    await to_mortals.until_free()


async def test_what_kv_was_read_into_is_given_back_before_decoding(gateway: Gateway) -> None:
    params = signed(await gateway.prefill(), await gateway.reserve(max_tokens=5000))
    tokens = params[fields.REMOTE_NUM_TOKENS] + 5000
    url, headers = gateway.emulator + contract.CHAT_COMPLETIONS, {"Authorization": f"Bearer {DECODE_KEY}"}
    body = chat_body(params, max_tokens=5000, temperature=2, seed=1, stream=True)
    async with gateway.http.post(url, json=body, headers=headers) as response:
        await response.content.readline()
        blocks = -(-tokens // 16)  # as long as the worker's
        assert await gateway.metric("tandem_decode_reserved_bytes") == blocks * 16 * 23_040
        response.close()
    await gateway.until_free()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_ends_its_answer(gateway: Gateway, stream: bool) -> None:
    before = await gateway.metric(CANCELLED)
    params = signed(await gateway.prefill(), await gateway.reserve(max_tokens=5000))
    body = chat_body(params, max_tokens=5000, temperature=2, seed=1, stream=stream)
    if stream:
        url, headers = gateway.emulator + contract.CHAT_COMPLETIONS, {"Authorization": f"Bearer {DECODE_KEY}"}
        async with gateway.http.post(url, json=body, headers=headers) as response:
            await response.content.readline()
            response.close()
    else:
        asking = asyncio.create_task(gateway.ask("POST", contract.CHAT_COMPLETIONS, body))
        async with asyncio.timeout(HUNG_SECONDS):
            while not await gateway.metric("tandem_decode_active"):
                await asyncio.sleep(0.01)
        await leave(asking)
    await gateway.until_free()
    assert await gateway.metric(CANCELLED) == before + 1


async def test_a_client_that_leaves_during_a_handshake_frees_its_memory_though_the_handshake_goes_on(
    gateway: Gateway,
) -> None:
    async with sidechannel.listener(WORKER_HOST, port := free_port(WORKER_HOST)) as silent:
        params: dict[str, Any] = {fields.REMOTE_ENGINE_ID: "silent", fields.REMOTE_REQUEST_ID: "silent-1"}
        params |= {fields.REMOTE_HOST: WORKER_HOST, fields.REMOTE_PORT: port}
        params |= {fields.REMOTE_BLOCK_IDS: [[1, 2, 3]], fields.REMOTE_NUM_TOKENS: 34}
        asking = asyncio.create_task(gateway.decode(signed(params, await gateway.reserve())))
        await silent.recv_multipart()  # the handshake, which is never answered
        await leave(asking)
        await gateway.until_free()


async def leave(asking: asyncio.Task[Any]) -> None:
    """Close a request's connection before it is answered."""
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_worker_that_died_is_told_in_time_and_its_successor_is_reached(
    to_mortals: Gateway, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with prefill_worker(log, WORKER_HOST) as (process, url):
        mortal = Gateway(to_mortals.http, to_mortals.emulator, url)
        assert (await mortal.decode(await mortal.ready())).status == 200
        params = [await mortal.ready() for _ in range(2)]
        process.kill()
        process.wait()
    for answer in await asyncio.gather(*map(to_mortals.decode, params)):  # long before the lease ends
        assert (answer.status, answer.code) == (STATUS[Code.KV_TRANSFER], "kv_transfer")
    with prefill_worker(log, WORKER_HOST) as (_, url):
        successor = Gateway(to_mortals.http, to_mortals.emulator, url)
        assert (await successor.decode(await successor.ready())).status == 200


@contextmanager
def standing_still(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a process for a while: its connections stay open, so only time limits and the fence can tell."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def test_a_worker_that_stands_still_costs_one_answer_and_no_memory(to_mortals: Gateway, tmp_path: Path) -> None:
    # the lease is short: it frees what nobody can be told of
    with prefill_worker(tmp_path / "worker.log", WORKER_HOST, lease_seconds=10) as (process, url):
        mortal = Gateway(to_mortals.http, to_mortals.emulator, url)
        params = await mortal.ready()
        with standing_still(process):
            answer = await mortal.decode(params)
        assert (answer.status, answer.code) == (STATUS[Code.KV_TRANSFER], "kv_transfer")
        assert answer.body["error"]["phase"] == "handshake"
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
