"""Limits as clients meet them: who waits, who is refused, and when to come again."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI, RateLimitError

from runtime.gateway.access.tenants import Tenant, digest
from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.admission.limits import Capacity, Limits
from runtime.handoff.contract import CHAT_COMPLETIONS
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.conftest import GATEWAY_KEY, KEY_ID, MODEL, SECRET, Captured, Forward, Setup, Start
from tests.runtime.gateway.standin_peers import CHUNKS
from tests.runtime.gateway.telemetry.test_metrics import sample

OTHER_KEY = "other-key"


def tenants(**limits: int) -> tuple[Tenant, ...]:
    acme = Tenant(id="acme", keys=(digest(GATEWAY_KEY),), limits=limits, signing={KEY_ID: SECRET})
    return (acme, Tenant(id="other", keys=(digest(OTHER_KEY),)))


def bounds(running: int, waiting: int = 5, wait_seconds: float = 30.0, **more: Any) -> AdmissionConfig:
    capacity = Capacity(running=running, waiting=waiting, wait_seconds=wait_seconds)
    return AdmissionConfig(capacity=capacity, **more)


async def status(setup: Setup, key: str = GATEWAY_KEY, **body: Any) -> tuple[int, str | None, str | None]:
    async with setup.ask(headers={"Authorization": f"Bearer {key}"}, **body) as answer:
        told = await answer.json() if answer.content_type == "application/json" else {}
        await answer.read()
        return answer.status, told.get("error", {}).get("code"), answer.headers.get("Retry-After")


async def until(setup: Setup, *, running: int, waiting: int) -> None:
    """Wait until so many requests are at prefill and so many wait for their turn."""
    async with asyncio.timeout(HUNG_SECONDS):
        while len(setup.prefill.seen) < running or sample(setup, "dynamo_frontend_queued_requests") != waiting:
            await asyncio.sleep(0.005)


async def test_a_tenant_over_its_requests_a_minute_is_told_when_to_come_again(start: Start) -> None:
    setup = await start("cs3", tenants=tenants(requests_per_minute=6))
    assert await status(setup) == (200, None, None)
    code = (429, "rate_limit_exceeded", "10")
    assert await status(setup) == code
    assert await status(setup, OTHER_KEY) == (200, None, None)
    assert len(setup.prefill.seen) == 2


async def test_a_limit_that_is_changed_holds_for_the_next_request(start: Start) -> None:
    known = list(tenants(requests_per_minute=6))
    setup = await start("cs3", tenants=known)
    assert [await status(setup), (await status(setup))[0]] == [(200, None, None), 429]
    known[:] = tenants(requests_per_minute=600)
    assert await status(setup) == (200, None, None)


async def test_tokens_are_metered_by_what_a_request_reserves(start: Start) -> None:
    setup = await start("cs3", tenants=tenants(tokens_per_minute=6000))
    assert (await status(setup, max_tokens=900))[0] == 200  # of a thousand at once
    refused, code, after = await status(setup, max_tokens=900)
    assert (refused, code) == (429, "rate_limit_exceeded")
    assert after == "9"


async def test_defaults_of_the_deployment_hold_where_a_tenant_has_no_limits(start: Start) -> None:
    admission = AdmissionConfig(tenant=Limits(requests_per_minute=12))
    setup = await start("cs3", admission, tenants(), replicas=lambda: 2)
    assert await status(setup) == (200, None, None)
    assert await status(setup) == (429, "rate_limit_exceeded", "10")


async def test_the_openai_client_sees_a_rate_limit_error(start: Start) -> None:
    setup = await start("cs3", tenants=tenants(requests_per_minute=1))
    async with AsyncOpenAI(base_url=f"{setup.url}/v1", api_key=GATEWAY_KEY, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "x"}]
        await client.chat.completions.create(model=MODEL, messages=messages)
        with pytest.raises(RateLimitError, match="try again in 60 s") as caught:
            await client.chat.completions.create(model=MODEL, messages=messages)
    assert caught.value.response.headers["Retry-After"] == "60"


async def test_who_finds_no_room_waits_for_its_turn_and_is_served(start: Start, log: Captured) -> None:
    setup = await start("cs3", bounds(running=1))
    gate = setup.prefill.hold(CHAT_COMPLETIONS)
    asked = [asyncio.create_task(status(setup, stream=True)) for _ in range(3)]
    await until(setup, running=1, waiting=2)
    assert len(setup.prefill.seen) == 1
    gate.set()
    assert await asyncio.gather(*asked) == [(200, None, None)] * 3
    spent = sorted(line["phases_ms"].get("queue", 0) for line in log.requests())
    assert spent[0] == 0
    assert spent[1] > 0


async def test_a_full_queue_refuses_one_tenant_and_takes_another(start: Start) -> None:
    setup = await start("cs3", bounds(running=1, waiting=5), tenants())
    gate = setup.prefill.hold(CHAT_COMPLETIONS)
    asked = [asyncio.create_task(status(setup)) for _ in range(5)]
    await until(setup, running=1, waiting=4)
    refused, code, after = await status(setup)
    assert (refused, code) == (429, "overloaded")
    assert after == "30"  # until the first that waits has left
    other = asyncio.create_task(status(setup, OTHER_KEY))
    await until(setup, running=1, waiting=5)
    gate.set()
    assert await other == (200, None, None)
    assert {answer[0] for answer in await asyncio.gather(*asked)} == {200}


async def test_who_waits_in_vain_is_refused_and_leaves_nothing_behind(start: Start) -> None:
    setup = await start("cs3", bounds(running=1, wait_seconds=0.05))
    gate = setup.prefill.hold(CHAT_COMPLETIONS)
    first = asyncio.create_task(status(setup))
    await until(setup, running=1, waiting=0)
    assert await status(setup) == (429, "overloaded", "1")
    assert sample(setup, "dynamo_frontend_queued_requests") == 0
    gate.set()
    assert await first == (200, None, None)
    assert await status(setup) == (200, None, None)


async def test_a_client_that_leaves_while_it_waits_gives_up_its_turn(start: Start) -> None:
    setup = await start("cs3", bounds(running=1))
    gate = setup.prefill.hold(CHAT_COMPLETIONS)
    first = asyncio.create_task(status(setup))
    await until(setup, running=1, waiting=0)
    second = asyncio.create_task(status(setup))
    await until(setup, running=1, waiting=1)
    second.cancel()
    await until(setup, running=1, waiting=0)
    gate.set()
    assert await first == (200, None, None)
    assert await status(setup) == (200, None, None)
    assert len(setup.prefill.seen) == 2


async def test_a_tenant_s_concurrency_makes_it_wait_and_nobody_else(start: Start) -> None:
    setup = await start("cs3", tenants=tenants(concurrency=1))
    gate = setup.prefill.hold(CHAT_COMPLETIONS)
    asked = [asyncio.create_task(status(setup)) for _ in range(2)]
    await until(setup, running=1, waiting=1)
    asked.append(asyncio.create_task(status(setup, OTHER_KEY)))
    await until(setup, running=2, waiting=1)
    gate.set()
    assert await asyncio.gather(*asked) == [(200, None, None)] * 3


async def test_a_prompt_beyond_the_limit_is_refused(start: Start) -> None:
    setup = await start("cs3", AdmissionConfig(prompt_tokens=100))
    assert (await status(setup))[0] == 200
    long = [{"role": "user", "content": "word " * 100}]
    assert await status(setup, messages=long) == (400, "context_length_exceeded", None)


async def test_a_request_ends_when_its_time_is_over_and_frees_what_it_held(
    start: Start, log: Captured, forward: Forward
) -> None:
    setup = await start("cs3", AdmissionConfig(request_seconds=60))
    setup.prefill.hold(CHAT_COMPLETIONS)
    asked = asyncio.create_task(status(setup))
    await until(setup, running=1, waiting=0)
    forward(61)
    assert await asked == (504, "deadline_exceeded", None)
    await setup.decode.wait(lambda: any(call.startswith("DELETE") for call in setup.decode.calls()))
    assert log.requests()[0]["code"] == "deadline_exceeded"


async def test_a_stream_whose_time_is_over_says_so_at_its_end(start: Start, log: Captured, forward: Forward) -> None:
    setup = await start("cs3", AdmissionConfig(request_seconds=60))
    setup.decode.waits_after_first = True
    async with setup.ask(stream=True) as answer:
        received = await answer.content.readuntil(b"\n\n")
        forward(61)
        received += await answer.read()
    assert received.startswith(CHUNKS[0])
    assert json.loads(received[len(CHUNKS[0]) :].removeprefix(b"data: "))["error"]["code"] == "deadline_exceeded"
    await setup.decode.wait(lambda: setup.decode.left == ["stream"])
    assert log.requests()[0]["code"] == "deadline_exceeded"


async def test_a_client_that_stops_reading_is_cut_off_when_the_time_is_over(
    start: Start, log: Captured, forward: Forward
) -> None:
    setup = await start("cs3", AdmissionConfig(request_seconds=60))
    setup.decode.chunks = (b"data: " + b"x" * 2**20 + b"\n\n",) * 64
    async with setup.ask(stream=True) as answer:
        await answer.content.readany()
        async with setup.ask(stream=True) as other:  # meanwhile all that can be sent without being read has been
            await other.read()
        forward(61)
        await setup.decode.wait(lambda: setup.decode.left == ["stream"])
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    assert log.requests()[-1]["code"] == "deadline_exceeded"
    assert await status(setup, messages=[]) == (400, "invalid_request", None)


async def test_requests_are_counted_by_tenant_and_outcome(start: Start) -> None:
    setup = await start("cs3", tenants=tenants(requests_per_minute=6))
    await status(setup)
    await status(setup)
    await status(setup, OTHER_KEY, stream="no")
    await status(setup, "wrong")
    found = {
        (tenant, outcome): sample(setup, "tandem_gateway_tenant_requests_total", tenant=tenant, outcome=outcome)
        for tenant, outcome in [("acme", "success"), ("acme", "throttled"), ("other", "refused")]
    }
    assert set(found.values()) == {1}


async def test_bodies_that_would_exhaust_the_memory_are_refused_before_they_are_read(start: Start) -> None:
    setup = await start("cs3", AdmissionConfig(bodies_bytes=10_000), tenants())
    gate = setup.prefill.hold(CHAT_COMPLETIONS)
    large = [{"role": "user", "content": "x" * 4000}]
    asked = asyncio.create_task(status(setup, messages=large))
    await until(setup, running=1, waiting=0)
    assert await status(setup, messages=[{"role": "user", "content": "x" * 5000}]) == (429, "overloaded", "1")
    asked_too = asyncio.create_task(status(setup, OTHER_KEY))
    await until(setup, running=2, waiting=0)
    gate.set()
    assert set(await asyncio.gather(asked, asked_too)) == {(200, None, None)}
    assert setup.gateway.bodies.held == 0
    assert await status(setup, messages=large) == (200, None, None)
