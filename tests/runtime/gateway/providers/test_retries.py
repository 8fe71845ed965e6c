"""A leg that fails is tried again as the table says, and the client sees an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from runtime.handoff import fields
from runtime.handoff.contract import CHAT_COMPLETIONS, RESERVATIONS, Code, HandoffError
from tests.runtime.gateway.conftest import Captured, Forward, Setup, Start, worker
from tests.runtime.gateway.standin_peers import CERTIFICATE, CHUNKS, COMPLETION, PrefillPeer, serving

NOBODY = worker(1)


def refusal(code: Code) -> web.Response:
    error = HandoffError(code, "refused")
    return web.json_response(error.body(), status=error.status)


async def answered(setup: Setup, **body: Any) -> Any:
    async with setup.ask(**body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_a_dead_prefill_worker_is_replaced_under_the_same_reservation(cs3: Setup, log: Captured) -> None:
    cs3.prefill_workers.append(NOBODY)
    for _ in range(2):
        assert await answered(cs3) == COMPLETION
    assert cs3.decode.calls().count(f"POST {RESERVATIONS}") == 2
    retries = [retry for line in log.requests() for retry in line["retries"]]
    assert set(retries) == {"prefill prefill_unavailable another_worker"}


async def test_a_prefill_worker_that_fails_is_replaced(cs3: Setup) -> None:
    failing = PrefillPeer()
    failing.errors["prefill"] = web.Response(status=500, text="out of memory")
    async with serving(failing.application(), CERTIFICATE) as server:
        assert server.port is not None
        cs3.prefill_workers[:] = [worker(server.port), *cs3.prefill_workers]
        for _ in range(2):
            assert await answered(cs3) == COMPLETION
    assert len(failing.seen) == 1


async def test_a_full_endpoint_is_left_for_another(start: Start) -> None:
    setup = await start("cs3", peers=2)
    (other,) = setup.others
    setup.decode.errors["reserve"] = other.errors["reserve"] = refusal(Code.CAPACITY)
    async with setup.ask() as answer:
        assert answer.status == 429
    del other.errors["reserve"]
    for _ in range(3):
        await answered(setup)
    assert other.calls().count(f"POST {CHAT_COMPLETIONS}") == 3
    assert setup.decode.calls() == [f"POST {RESERVATIONS}"]  # it counts as full for a while


async def test_an_expired_reservation_is_made_again(cs3: Setup, log: Captured) -> None:
    cs3.decode.errors["decode"] = refusal(Code.RESERVATION_UNKNOWN)
    cs3.decode.once.add("decode")
    assert await answered(cs3) == COMPLETION
    attempts = [seen.body["attempt"] for seen in cs3.decode.seen if seen.path == RESERVATIONS]
    ids = [seen.headers[fields.REQUEST_ID_HEADER] for seen in cs3.prefill.seen]
    assert attempts == [1, 2]
    assert ids[1] == f"{ids[0]}-2"
    assert log.requests()[0]["retries"] == ["decode reservation_unknown reserve_again"]


async def test_kv_that_no_endpoint_can_read_becomes_text_at_another_provider(start: Start) -> None:
    setup = await start("cs3")
    setup.spills_over = True
    setup.decode.errors["decode"] = refusal(Code.KV_LAYOUT)
    assert await answered(setup) == COMPLETION
    (seen,) = setup.spare.seen
    assert (seen.body["model"], seen.headers["Authorization"]) == ("other-name", "Bearer spare-key")
    assert fields.KV_TRANSFER_PARAMS not in seen.body


async def test_without_a_prefill_worker_text_goes_to_another_provider(start: Start) -> None:
    setup = await start("cs3")
    setup.spills_over, setup.prefill_workers[:] = True, [NOBODY]
    assert await answered(setup) == COMPLETION
    await setup.releases.drain()
    assert f"DELETE {RESERVATIONS}/r/1" in setup.decode.calls()


async def test_full_endpoints_spill_over_and_it_is_told(start: Start, log: Captured) -> None:
    setup = await start("cs3")
    setup.spills_over = True
    setup.decode.errors["reserve"] = refusal(Code.CAPACITY)
    async with setup.ask(stream=True) as answer:
        assert await answer.read() == b"".join(CHUNKS)
    (line,) = log.requests()
    assert (line["decided"]["decoder"], line["decided"]["handoff"]) == ("spill_over", "no_kv")
    assert 'tandem_gateway_decisions_total{model="org/model",reason="spill_over",what="decoder"} 1.0' in (
        setup.metrics.exposition().decode()
    )


async def test_an_answer_that_broke_off_is_asked_for_at_another_endpoint(start: Start) -> None:
    setup = await start("cs3", peers=2)
    setup.decode.dies = True
    for _ in range(4):
        assert await answered(setup) == COMPLETION


async def test_what_is_left_of_the_client_s_time_travels_with_the_request(cs3: Setup) -> None:
    async with cs3.ask(headers={fields.TIME_LIMIT_HEADER: "60000"}) as answer:
        assert answer.status == 200
    for seen in (*cs3.prefill.seen, *cs3.decode.seen):
        if seen.path == CHAT_COMPLETIONS:
            assert 0 < int(seen.headers[fields.TIME_LIMIT_HEADER]) <= 60_000


async def test_a_client_s_time_ends_a_request_that_takes_longer(cs3: Setup, forward: Forward) -> None:
    cs3.prefill.hold(CHAT_COMPLETIONS)

    async def ask() -> tuple[int, str]:
        async with cs3.ask(headers={fields.TIME_LIMIT_HEADER: "60000"}) as answer:
            return answer.status, (await answer.json())["error"]["code"]

    asking = asyncio.create_task(ask())
    await cs3.prefill.wait(lambda: bool(cs3.prefill.seen))
    forward(61)
    assert await asking == (504, "deadline_exceeded")
    await cs3.decode.wait(lambda: f"DELETE {RESERVATIONS}/r/1" in cs3.decode.calls())


async def test_the_only_endpoint_is_asked_once_more_where_it_failed(cs3: Setup, log: Captured) -> None:
    cs3.decode.errors["decode"] = web.Response(status=500, text="out of memory")
    cs3.decode.once.add("decode")
    assert await answered(cs3) == COMPLETION
    assert log.requests()[0]["retries"] == ["decode decode_failed once_more"]


async def test_the_only_endpoint_is_not_asked_a_third_time(cs3: Setup) -> None:
    cs3.decode.errors["decode"] = web.Response(status=500, text="out of memory")
    async with cs3.ask() as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (502, "decode_failed")
    assert cs3.decode.calls().count(f"POST {CHAT_COMPLETIONS}") == 2


async def test_a_crash_breaks_more_answers_than_the_budget_holds_and_each_is_asked_for_elsewhere(start: Start) -> None:
    setup = await start("cs3", peers=2)
    setup.decode.dies = True
    assert await asyncio.gather(*(answered(setup) for _ in range(60))) == [COMPLETION] * 60


async def broken(setup: Setup, times: int, **more: Any) -> None:
    for _ in range(times):
        async with setup.ask(stream=True, **more) as answer:
            assert b'"decode_failed"' in await answer.read()


async def test_streams_that_break_open_the_breaker_whether_they_could_go_on_or_not(start: Start) -> None:
    for more in ({"tools": [{"type": "function"}]}, {}):
        setup = await start("cs3")
        setup.decode.chunks, setup.decode.dies = CHUNKS[:1], True
        await broken(setup, 5, **more)
        calls = len(setup.decode.calls())
        async with setup.ask() as answer:
            assert "every decode endpoint failed lately" in await answer.text()
        assert len(setup.decode.calls()) == calls
