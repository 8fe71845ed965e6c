"""Every refusal of the contract: its code, its status, and what it leaves behind."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest

from runtime.handoff import contract, fields, sidechannel
from runtime.handoff.contract import STATUS, Code
from runtime.handoff.sidechannel import NixlAgentMetadata, NixlHandshakePayload
from runtime.handoff.transport.nixl import NixlAgent
from tests.patience import HUNG_SECONDS
from tests.ports import free_port
from tests.runtime.standins.cs3.flow import (
    DECODE_KEY,
    MODEL,
    SHORT,
    Answered,
    Gateway,
    chat_body,
    emulator,
    signed,
)

Change = Callable[[dict[str, Any]], dict[str, Any]]
OTHER = [{"role": "user", "content": "Name three colours, and four animals."}]
ODD_HOST = "127.77.0.9"


def assert_refused(answer: Answered, code: Code) -> None:
    assert (answer.status, answer.code) == (STATUS[code], code.value), answer.body


def without(name: str) -> Change:
    return lambda params: {key: value for key, value in params.items() if key != name}


@pytest.mark.parametrize(
    ("code", "claims", "change"),
    [
        pytest.param(Code.TICKET_INVALID, {"key": "another key"}, None, id="forged"),
        pytest.param(Code.TICKET_INVALID, {"key": ""}, None, id="empty key"),
        pytest.param(Code.TICKET_INVALID, {"expires_at": time.time() - 1}, None, id="expired"),
        pytest.param(Code.TICKET_INVALID, {}, without(fields.TANDEM), id="no ticket"),
        pytest.param(Code.TICKET_INVALID, {}, lambda params: params | {fields.TANDEM: []}, id="odd tandem"),
        pytest.param(Code.KV_INCOMPLETE, {}, without(fields.REMOTE_HOST), id="no host"),
        pytest.param(Code.KV_INCOMPLETE, {}, lambda params: params | {fields.REMOTE_BLOCK_IDS: []}, id="no blocks"),
        pytest.param(Code.KV_FOREIGN, {}, lambda params: params | {fields.REMOTE_BLOCK_IDS: [[1]]}, id="other blocks"),
        pytest.param(Code.KV_FOREIGN, {}, lambda params: params | {fields.REMOTE_HOST: "127.9.9.9"}, id="other host"),
        pytest.param(Code.KV_FOREIGN, {"model": "another"}, None, id="other model"),
    ],
)
async def test_params_that_no_ticket_covers_change_nothing(
    gateway: Gateway, code: Code, claims: dict[str, Any], change: Change | None
) -> None:
    reservation, params = await gateway.reserve(), await gateway.prefill()
    bad = signed(params, reservation, **claims)
    bad = change(bad) if change else bad
    assert_refused(await gateway.decode(bad), code)
    assert_refused(await gateway.abort(bad), code)
    # neither the reservation nor the blocks were touched: the rightful request still succeeds
    assert (await gateway.decode(signed(params, reservation))).status == 200


@pytest.mark.parametrize(
    ("code", "claims", "more"),
    [
        pytest.param(Code.RESERVATION_UNKNOWN, {"reservation_id": "unknown"}, {}, id="unknown reservation"),
        pytest.param(Code.KV_STALE, {"lease_ms": 1}, {}, id="lease over"),
        pytest.param(Code.KV_FOREIGN, {}, {"messages": OTHER}, id="other prompt"),
    ],
)
async def test_a_refusal_after_acceptance_frees_both_sides(
    gateway: Gateway, code: Code, claims: dict[str, Any], more: dict[str, Any]
) -> None:
    reservation = await gateway.reserve()
    params = signed(await gateway.prefill(), reservation, **claims)
    assert_refused(await gateway.decode(params, **more), code)
    await gateway.ask("DELETE", f"{contract.RESERVATIONS}/{reservation}")
    await gateway.until_free()


def with_seal(params: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return params whose worker states something else of its KV."""
    return params | {fields.TANDEM: {fields.SEAL: params[fields.TANDEM][fields.SEAL] | change}}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        pytest.param(Code.KV_CORRUPT, {"digests": base64.b64encode(bytes(8)).decode()}, id="other content"),
        pytest.param(Code.KV_FOREIGN, {"generation": "an earlier life"}, id="restarted worker"),
        pytest.param(Code.KV_FOREIGN, {"model_digest": "sha256:0"}, id="other weights"),
        pytest.param(Code.KV_INCOMPLETE, {"digests": ""}, id="no digests"),
    ],
)
async def test_kv_that_is_not_what_the_worker_stated_is_not_decoded(
    gateway: Gateway, code: Code, change: dict[str, Any]
) -> None:
    reservation = await gateway.reserve()
    params = await gateway.prefill()
    assert_refused(await gateway.decode(signed(with_seal(params, change), reservation)), code)
    # refused before its reservation was used, or by a worker that could not be told
    for name in (reservation, "none"):
        await gateway.abort(signed(params, name))


async def test_a_seal_that_was_taken_away_is_noticed(gateway: Gateway) -> None:
    params = await gateway.ready()
    bare = params | {fields.TANDEM: {fields.TICKET: params[fields.TANDEM][fields.TICKET]}}
    assert_refused(await gateway.decode(bare), Code.KV_FOREIGN)
    assert (await gateway.decode(params)).status == 200


async def test_metrics_tell_what_vouches_for_kv(gateway: Gateway) -> None:
    names = [f'tandem_decode_kv_imports_total{{integrity="{by}"}}' for by in ("digest", "time")]
    before = [await gateway.metric(name) for name in names]
    params, reservation = await gateway.prefill(), await gateway.reserve()
    assert (await gateway.decode(signed(without(fields.TANDEM)(params), reservation))).status == 200
    assert (await gateway.decode(await gateway.ready())).status == 200
    assert [await gateway.metric(name) for name in names] == [count + 1 for count in before]


async def test_a_ticket_is_used_once(gateway: Gateway) -> None:
    params = await gateway.ready()
    assert (await gateway.decode(params)).status == 200
    assert_refused(await gateway.decode(params), Code.RESERVATION_UNKNOWN)


async def test_a_replay_does_not_disturb_the_answer_under_way(gateway: Gateway) -> None:
    late = await gateway.worker_metric("nixl_num_notifications_after_expiry_total")
    params = await gateway.ready()
    body = chat_body(params, max_tokens=60, seed=1, temperature=1, stream=True)
    url, headers = gateway.emulator + contract.CHAT_COMPLETIONS, {"Authorization": f"Bearer {DECODE_KEY}"}
    async with gateway.http.post(url, json=body, headers=headers) as first:
        await first.content.readline()
        assert_refused(await gateway.decode(params), Code.RESERVATION_UNKNOWN)
        assert (await gateway.abort(params)).status == 202
        assert (await first.text()).endswith("data: [DONE]\n\n")
    assert await gateway.worker_metric("nixl_num_notifications_after_expiry_total") == late


async def test_another_engine_at_the_same_address_is_not_read_from(gateway: Gateway) -> None:
    """As after a restart of the worker: block numbers would mean other requests' KV."""
    params = await gateway.prefill()
    foreign = signed(params | {fields.REMOTE_ENGINE_ID: "another"}, await gateway.reserve())
    assert_refused(await gateway.decode(foreign), Code.KV_FOREIGN)
    assert await gateway.worker_metric("kv_cache_usage_perc") > 0
    assert (await gateway.abort(signed(params, "none"))).status == 202


async def test_blocks_that_the_worker_cannot_have_are_not_read(gateway: Gateway) -> None:
    params = await gateway.prefill()
    blocks = [10_000_000 + block for block in params[fields.REMOTE_BLOCK_IDS][0]]
    foreign = signed(params | {fields.REMOTE_BLOCK_IDS: [blocks]}, await gateway.reserve())
    assert_refused(await gateway.decode(foreign), Code.KV_FOREIGN)


async def test_too_few_blocks_are_not_read(gateway: Gateway) -> None:
    params = await gateway.prefill()
    partial = params | {fields.REMOTE_BLOCK_IDS: [params[fields.REMOTE_BLOCK_IDS][0][:-1]]}
    assert_refused(await gateway.decode(signed(partial, await gateway.reserve())), Code.KV_INCOMPLETE)


async def test_abort_frees_a_prefilled_request_and_its_reservation(gateway: Gateway) -> None:
    params = await gateway.ready()
    assert await gateway.worker_metric("kv_cache_usage_perc") > 0
    assert (await gateway.abort(params)).status == 202
    await gateway.until_free()
    assert_refused(await gateway.decode(params), Code.RESERVATION_UNKNOWN)


@pytest.fixture
async def odd_worker() -> AsyncIterator[tuple[dict[str, Any], NixlAgent]]:
    """Serve the handshake of a worker whose heads come before its tokens; yield params of a request to it."""
    agent, port = NixlAgent(f"odd-{uuid.uuid4()}"), free_port(ODD_HOST)
    region = np.zeros((4, 2, 3, 16, 64), np.float16)
    agent.register(region)
    metadata = NixlAgentMetadata(
        engine_id="odd",
        agent_metadata=agent.metadata,
        kv_caches_base_addr=[region.ctypes.data] * 30,
        device_id=0,
        num_blocks=4,
        block_lens=[region[0].nbytes] * 30,
        block_strides=[region[0].nbytes] * 30,
        kv_cache_layout="HND",
        block_size=16,
        ssm_sizes=(0, 0),
        attn_backend_name="any",
        physical_blocks_per_logical_kv_block=1,
    )
    payload = NixlHandshakePayload(compatibility_hash="", agent_metadata_bytes=msgspec.msgpack.encode(metadata))
    async with sidechannel.listener(ODD_HOST, port) as socket:
        serving = asyncio.create_task(sidechannel.serve(socket, {(0, 0): payload}))
        params: dict[str, Any] = {fields.REMOTE_ENGINE_ID: "odd", fields.REMOTE_REQUEST_ID: "odd-1"}
        params |= {fields.REMOTE_HOST: ODD_HOST}
        params |= {
            fields.REMOTE_PORT: port,
            fields.REMOTE_BLOCK_IDS: [[3, 1, 2]],
            fields.REMOTE_BLOCKS_EXPIRY_TIME: None,
        }
        yield params, agent
        serving.cancel()
    agent.close()


async def test_another_layout_is_refused_and_its_blocks_are_freed(
    gateway: Gateway, odd_worker: tuple[dict[str, Any], NixlAgent]
) -> None:
    params, agent = odd_worker
    params[fields.REMOTE_NUM_TOKENS] = 34
    answer = await gateway.decode(signed(params, await gateway.reserve()))
    assert_refused(answer, Code.KV_LAYOUT)
    assert "HND" in answer.body["error"]["message"]
    received: list[bytes] = []
    async with asyncio.timeout(HUNG_SECONDS):
        while not received:
            received = [message for _, message in agent.notifications()]
            await asyncio.sleep(0.01)
    assert received == [b"odd-1:1"]


OVER_A_PAGE: list[Any] = [{"role": "user", "content": "word " * 120}]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of an emulator with room for 279 tokens, which is two pages of 128."""
    with emulator(tmp_path_factory.mktemp("small") / "emulator.log", "--memory-gib=0.006") as (_, url):
        yield url


@pytest.fixture
async def cramped(small: str, gateway: Gateway, http: aiohttp.ClientSession) -> AsyncIterator[Gateway]:
    """Yield a gateway to the small emulator."""
    cramped = Gateway(http, small, gateway.worker)
    yield cramped
    await cramped.until_free()


async def test_memory_that_is_reserved_is_refused_until_it_is_free(cramped: Gateway) -> None:
    first = await cramped.reserve(prompt_tokens=120, max_tokens=20)
    body = {"request_id": "r", "attempt": 1, "model": MODEL, "prompt_tokens": 13, "max_tokens": 1}
    answer = await cramped.ask("POST", contract.RESERVATIONS, body)
    assert_refused(answer, Code.CAPACITY)
    assert int(answer.headers["Retry-After"]) >= 1
    for name in (first, first, "unknown"):
        await withdraw(cramped, name)
    await withdraw(cramped, await cramped.reserve(prompt_tokens=13, max_tokens=1))


async def withdraw(gateway: Gateway, reservation: str) -> None:
    assert (await gateway.ask("DELETE", f"{contract.RESERVATIONS}/{reservation}")).status == 204


async def test_a_reservation_that_expired_is_refused_and_the_blocks_are_freed(
    gateway: Gateway, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with emulator(tmp_path / "emulator.log", "--reservation-ttl-seconds=0.5") as (_, url):
        hasty = Gateway(http, url, gateway.worker)
        params = await hasty.ready()
        async with asyncio.timeout(HUNG_SECONDS):
            while await hasty.metric("tandem_decode_reservations"):
                await asyncio.sleep(0.05)
        assert_refused(await hasty.decode(params), Code.RESERVATION_UNKNOWN)
        await hasty.until_free()


async def test_an_estimate_that_was_too_low_grows_if_there_is_room(cramped: Gateway) -> None:
    params = await cramped.prefill(OVER_A_PAGE)
    reservation = await cramped.reserve(prompt_tokens=1)
    assert (await cramped.decode(signed(params, reservation), OVER_A_PAGE)).status == 200


async def test_an_estimate_that_was_too_low_is_refused_if_there_is_no_room(cramped: Gateway) -> None:
    params = await cramped.prefill(OVER_A_PAGE)
    reservation, other = [await cramped.reserve(prompt_tokens=1) for _ in range(2)]
    assert_refused(await cramped.decode(signed(params, reservation), OVER_A_PAGE), Code.CAPACITY)
    await withdraw(cramped, other)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (chat_body({}, model="another"), Code.MODEL_NOT_FOUND),
        (chat_body({}, max_tokens=8192), Code.CONTEXT_LENGTH_EXCEEDED),
        (chat_body({}, messages=[]), Code.INVALID_REQUEST),
        (chat_body({}, messages=[{"role": "tool", "content": "x"}]), Code.INVALID_REQUEST),
        (chat_body({}, messages=[{"role": "user", "content": "\ud800"}]), Code.INVALID_REQUEST),
        (chat_body({}, n=2), Code.INVALID_REQUEST),
        ({"model": MODEL, "messages": SHORT}, Code.TICKET_INVALID),
    ],
)
async def test_the_body_is_checked_before_the_ticket(gateway: Gateway, body: dict[str, Any], code: Code) -> None:
    assert_refused(await gateway.ask("POST", contract.CHAT_COMPLETIONS, body), code)
