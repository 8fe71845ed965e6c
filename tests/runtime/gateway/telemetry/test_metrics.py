"""What a gateway counts, as CloudWatch and Prometheus read it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from runtime.gateway.telemetry.record import Record
from runtime.handoff import emf
from runtime.handoff import metrics as names
from runtime.handoff.contract import CHAT_COMPLETIONS, MODELS, RESERVATIONS
from tests.runtime.gateway.conftest import GATEWAY_KEY, MODEL, Captured, Setup, Start
from tests.runtime.gateway.standin_peers import CHUNKS, COMPLETION


def _taken(setup: Setup) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(setup.metrics.take_line(began=120.0))
    return document


def sample(setup: Setup, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(setup.metrics.exposition().decode())
    found = [each for family in families for each in family.samples if each.name == name]
    [value] = [each.value for each in found if each.labels == {"model": MODEL, **labels}]
    return value


async def test_a_streamed_answer_is_counted_with_its_phases(cs3: Setup) -> None:
    async with cs3.ask(stream=True) as answer:
        await answer.read()
    counted = _taken(cs3)
    assert (
        counted["Deployment"],
        counted["Invocations"],
        counted["InvocationServerErrors"],
        counted["InvocationThrottles"],
    ) == ("small", 1, 0, 0)
    assert counted["KvTransferBytes"] == 921600
    [first] = counted["TimeToFirstToken"]
    assert sum(counted[metric.name][0] for metric in names.PHASES.values()) == pytest.approx(first, abs=0.01)
    assert counted["InvocationLatency"][0] >= first
    assert counted["ActiveStreams"] > 0
    assert counted["QueuedPromptTokens"] > 0
    assert counted["PromptTokens"] == cs3.decode.body(RESERVATIONS)["prompt_tokens"]
    assert sample(cs3, "dynamo_frontend_time_to_first_token_seconds_count") == 1
    assert sample(cs3, "tandem_gateway_phase_seconds_count", phase="prefill") == 1
    assert sample(cs3, "tandem_gateway_kv_transfer_bytes_total") == 921600


async def test_a_period_begins_anew_and_says_nothing_of_what_was_not_measured(cs3: Setup) -> None:
    async with cs3.ask(stream=True) as answer:
        await answer.read()
    _taken(cs3)
    counted = _taken(cs3)
    assert (counted["Invocations"], counted["QueuedPromptTokens"], counted["ActiveStreams"]) == (0, 0, 0)
    assert counted["_aws"]["Timestamp"] == 120_000
    named = {metric["Name"] for metric in counted["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert named.isdisjoint({"TimeToFirstToken", "InvocationLatency", "ReservationFill", "PrefillTime"})


async def test_a_whole_answer_has_no_time_to_first_token(cs3: Setup) -> None:
    async with cs3.ask() as answer:
        await answer.read()
    counted = _taken(cs3)
    assert (counted["Invocations"], len(counted["InvocationLatency"])) == (1, 1)
    assert "TimeToFirstToken" not in counted
    assert sample(cs3, "dynamo_frontend_requests_total", request_type="unary", status="success") == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_are_counted_where_an_answer_tells_its_usage(cs3: Setup, log: Captured, *, stream: bool) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    for told in (True, False):
        if told:
            event = {"choices": [], "usage": usage}
            cs3.decode.chunks = (*CHUNKS[:-1], f"data: {json.dumps(event)}\n\n".encode(), CHUNKS[-1])
            cs3.decode.completion = {**COMPLETION, "usage": usage}
        else:
            cs3.decode.chunks, cs3.decode.completion = CHUNKS, COMPLETION
        async with cs3.ask(stream=stream) as answer:
            await answer.read()
        counted = _taken(cs3)
        assert (counted["InputTokenCount"], counted["OutputTokenCount"]) == ((9, 2) if told else (0, 0))
    lines = [(each["input_tokens"], each["output_tokens"]) for each in log.requests()]
    assert lines == [(9, 2), (None, None)]


async def test_refusals_and_failures_are_told_apart(cs3: Setup) -> None:
    cs3.decode.errors["reserve"] = web.json_response({"error": {"message": "full", "code": "capacity"}}, status=429)
    async with cs3.ask() as answer:
        assert answer.status == 429
    cs3.decode.errors["reserve"] = web.json_response({}, status=500)
    async with cs3.ask() as answer:
        assert answer.status == 502
    counted = _taken(cs3)
    assert (counted["Invocations"], counted["InvocationThrottles"], counted["InvocationServerErrors"]) == (2, 1, 1)
    assert counted["PromptTokens"] == 0  # nothing was prefilled, so none of it calls for hosts
    assert sample(cs3, "tandem_gateway_errors_total", code="capacity") == 1
    assert sample(cs3, "dynamo_frontend_requests_total", request_type="unary", status="error") == 2


async def test_what_the_client_is_to_blame_for_is_counted_apart(cs3: Setup) -> None:
    async with cs3.ask(messages=[]) as answer:
        assert answer.status == 400
    counted = _taken(cs3)
    assert (counted["Invocations"], counted["InvocationClientErrors"], counted["InvocationServerErrors"]) == (1, 1, 0)


async def test_a_stream_that_breaks_off_is_an_error_though_its_status_was_200(cs3: Setup) -> None:
    cs3.decode.dies = True
    cs3.decode.chunks = cs3.decode.chunks[:1]
    async with cs3.ask(stream=True) as answer:
        await answer.read()
    assert _taken(cs3)["InvocationServerErrors"] == 1


async def test_a_peer_s_own_codes_make_no_labels(cs3: Setup) -> None:
    error = {"error": {"message": "no", "code": "made-up-by-a-peer"}}
    cs3.decode.errors["reserve"] = web.json_response(error, status=400)
    async with cs3.ask() as answer:
        await answer.read()
    assert sample(cs3, "tandem_gateway_errors_total", code="other") == 1


async def test_gauges_rise_while_a_request_waits_for_prefill(cs3: Setup) -> None:
    gate = cs3.prefill.hold(CHAT_COMPLETIONS)
    async with cs3.session.post(cs3.url + MODELS) as answer:
        assert answer.status == 401
    asking = cs3.ask()

    async def ask() -> None:
        async with asking as answer:
            await answer.read()

    task = asyncio.create_task(ask())
    await cs3.prefill.wait(lambda: bool(cs3.prefill.seen))
    reserved = cs3.decode.body(RESERVATIONS)["prompt_tokens"]
    assert (cs3.metrics.queued.level, cs3.metrics.streams.level) == (reserved, 1)
    assert sample(cs3, "tandem_gateway_queued_prompt_tokens") == reserved
    gate.set()
    await task
    assert (cs3.metrics.queued.level, cs3.metrics.streams.level) == (0, 0)
    assert _taken(cs3)["Invocations"] == 1  # no other route counts


@pytest.mark.parametrize("provider", ["cs3", "vllm", "openai"])
async def test_every_provider_publishes_every_counter(start: Start, provider: str) -> None:
    setup = await start(provider)
    async with setup.ask(stream=True, headers={"Authorization": f"Bearer {GATEWAY_KEY}"}) as answer:
        await answer.read()
    setup.metrics.filled(0.25)
    setup.metrics.filled(0.125)
    counted = _taken(setup)
    assert {metric.name for metric in names.GATEWAY} <= set(counted)
    assert counted["ReservationFill"] == 0.25


def test_a_minute_of_many_requests_is_sampled_whole_and_counted_exactly(cs3: Setup) -> None:
    for number in range(250):
        record = Record(str(number), "POST", CHAT_COMPLETIONS, stream=True)
        record.phases.first_bytes(None)
        cs3.metrics.ended(record, 200)
    counted = _taken(cs3)
    assert counted["Invocations"] == 250
    kept = [counted[metric.name] for metric in (names.TIME_TO_FIRST_TOKEN, *names.PHASES.values())]
    assert {len(values) for values in kept} == {emf.MAX_VALUES}
    for first, *phases in zip(*kept, strict=True):
        assert sum(phases) == pytest.approx(first, abs=0.01)
