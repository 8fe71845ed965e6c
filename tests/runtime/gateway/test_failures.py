"""Every failure has a name, reaches the client in OpenAI's shape, and frees what was held."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from aiohttp import web
from openai import AsyncOpenAI

from runtime.gateway.peers.workers import Worker
from runtime.handoff import fields
from runtime.handoff.contract import ABORT, CHAT_COMPLETIONS, RESERVATIONS, Code, HandoffError
from tests.runtime.gateway.conftest import GATEWAY_KEY, MODEL, Captured, Setup, worker
from tests.runtime.gateway.standin_peers import CHUNKS, COMPLETION

WITHDRAWN = f"DELETE {RESERVATIONS}/r/1"
ABORTED = f"POST {ABORT}"
NOBODY = worker(1)


async def code(answer: Any) -> tuple[int, str]:
    body = await answer.json()
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return answer.status, body["error"]["code"]


def refusal(code: Code, **headers: str) -> web.Response:
    error = HandoffError(code, "said the peer")
    return web.json_response(error.body(), status=error.status, headers=headers)


@pytest.mark.parametrize(
    "changes",
    [
        {fields.REMOTE_HOST: "10.0.0.66"},
        {fields.REMOTE_HOST: None},
        {fields.REMOTE_BLOCK_IDS: []},
        {fields.REMOTE_NUM_TOKENS: "40"},
        {fields.REMOTE_ENGINE_ID: ""},
    ],
)
async def test_a_worker_s_parameters_are_refused_unless_whole_and_its_own(cs3: Setup, changes: dict[str, Any]) -> None:
    cs3.prefill.changes = changes
    async with cs3.ask() as answer:
        assert await code(answer) == (502, "prefill_failed")
    await cs3.decode.wait(lambda: WITHDRAWN in cs3.decode.calls())
    assert f"POST {CHAT_COMPLETIONS}" not in cs3.decode.calls()


async def test_a_worker_that_hands_nothing_over_is_refused(cs3: Setup) -> None:
    cs3.prefill.answer = COMPLETION
    async with cs3.ask() as answer:
        assert await code(answer) == (502, "prefill_failed")
    await cs3.decode.wait(lambda: WITHDRAWN in cs3.decode.calls())


@pytest.mark.parametrize("workers", [[], [NOBODY]])
async def test_without_a_reachable_worker_prefill_is_unavailable(cs3: Setup, workers: list[Worker]) -> None:
    cs3.prefill_workers[:] = workers
    async with cs3.ask() as answer:
        assert await code(answer) == (503, "prefill_unavailable")
    await cs3.decode.wait(lambda: WITHDRAWN in cs3.decode.calls())


async def test_full_capacity_is_passed_on_before_any_prefill(cs3: Setup, log: Captured) -> None:
    cs3.decode.errors["reserve"] = refusal(Code.CAPACITY, **{"Retry-After": "2"})
    async with cs3.ask() as answer:
        assert await code(answer) == (429, "capacity")
        assert answer.headers["Retry-After"] == "2"
    assert cs3.prefill.calls() == []
    assert cs3.decode.calls() == [f"POST {RESERVATIONS}"]
    assert log.requests()[0]["code"] == "capacity"


@pytest.mark.parametrize(("refused", "tries"), [(Code.KV_STALE, 5), (Code.KV_TRANSFER, 5), (Code.KV_LAYOUT, 1)])
async def test_a_refused_decode_is_tried_again_and_each_try_aborted(cs3: Setup, refused: Code, tries: int) -> None:
    cs3.decode.errors["decode"] = refusal(refused)
    async with cs3.ask(stream=True) as answer:
        assert await code(answer) == (HandoffError(refused, "").status, refused.value)
    await cs3.releases.drain()

    def told(path: str) -> list[tuple[str, object]]:
        """Return under which name of the request KV was spoken of: aborts go side by side, so in any order."""
        named = [
            (seen.headers[fields.REQUEST_ID_HEADER], seen.body[fields.KV_TRANSFER_PARAMS])
            for seen in cs3.decode.seen
            if seen.path == path
        ]
        return sorted(named, key=str)

    assert len(told(CHAT_COMPLETIONS)) == tries
    assert told(ABORT) == told(CHAT_COMPLETIONS)


async def test_a_peer_that_refuses_our_key_does_not_blame_the_client(cs3: Setup) -> None:
    cs3.decode.errors["decode"] = refusal(Code.UNAUTHORIZED)
    async with cs3.ask() as answer:
        assert await code(answer) == (502, "decode_failed")


async def test_what_a_worker_blames_on_the_request_is_passed_on(cs3: Setup) -> None:
    said = {"error": {"message": "too long", "type": "BadRequestError", "param": None, "code": 400}}
    cs3.prefill.errors["prefill"] = web.json_response(said, status=400)
    async with cs3.ask() as answer:
        assert (answer.status, await answer.json()) == (400, said)
    await cs3.decode.wait(lambda: WITHDRAWN in cs3.decode.calls())


async def test_a_worker_s_own_fault_is_named(cs3: Setup) -> None:
    cs3.prefill.errors["prefill"] = web.Response(status=500, text="Traceback")
    async with cs3.ask() as answer:
        assert await code(answer) == (502, "prefill_failed")


async def test_a_stream_that_dies_ends_with_an_error_event_and_no_done(cs3: Setup, log: Captured) -> None:
    cs3.decode.chunks, cs3.decode.dies = CHUNKS[:1], True
    async with cs3.ask(stream=True) as answer:
        received = await answer.read()
    assert received.startswith(CHUNKS[0])
    event = json.loads(received[len(CHUNKS[0]) :].removeprefix(b"data: "))
    assert event["error"]["code"] == "decode_failed"
    assert log.requests()[0]["code"] == "decode_failed"


async def test_a_stream_cut_short_politely_is_an_error_too(cs3: Setup) -> None:
    cs3.decode.chunks = CHUNKS[:2]
    async with AsyncOpenAI(base_url=f"{cs3.url}/v1", api_key=GATEWAY_KEY, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        with pytest.raises(openai.APIError, match="broke off"):
            assert [chunk.id async for chunk in stream] == ["1", "1"]


async def test_an_answer_that_dies_is_502(cs3: Setup) -> None:
    cs3.decode.dies = True
    async with cs3.ask() as answer:
        assert await code(answer) == (502, "decode_failed")


async def test_an_endpoint_that_is_away_is_unavailable(start: Any) -> None:
    setup = await start("openai")
    setup.decode.errors["decode"] = web.Response(status=500, text="no JSON")
    async with setup.ask() as answer:
        assert await code(answer) == (502, "decode_failed")
