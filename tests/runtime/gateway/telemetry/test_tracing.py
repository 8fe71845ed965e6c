"""A client's trace goes on to every peer; spans are made where a collector is named."""

from __future__ import annotations

import re

import pytest
from aiohttp import web
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from runtime.gateway.telemetry import tracing
from runtime.handoff.contract import CHAT_COMPLETIONS, RESERVATIONS
from tests.runtime.gateway.conftest import Captured, Setup

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


def _received(setup: Setup) -> dict[str, str | None]:
    """Return the ``traceparent`` of the request to each leg's peer."""
    paths = {RESERVATIONS: "reserve", CHAT_COMPLETIONS: "decode"}
    found = {paths[seen.path]: seen.headers.get("traceparent") for seen in setup.decode.seen}
    return {**found, "prefill": setup.prefill.seen[0].headers.get("traceparent")}


async def test_without_a_collector_a_client_s_trace_is_passed_on_as_it_is(cs3: Setup) -> None:
    async with cs3.ask(headers={"traceparent": TRACEPARENT, "baggage": "secret=1"}) as answer:
        await answer.read()
    assert _received(cs3) == dict.fromkeys(("reserve", "prefill", "decode"), TRACEPARENT)
    assert not any("baggage" in seen.headers for seen in (*cs3.decode.seen, *cs3.prefill.seen))


@pytest.mark.parametrize("given", [{}, {"traceparent": "00-zz-1-01"}, {"traceparent": "x\u00e9"}])
async def test_without_a_collector_and_a_trace_peers_get_none(cs3: Setup, log: Captured, given: dict[str, str]) -> None:
    async with cs3.ask(headers=given) as answer:
        await answer.read()
    assert set(_received(cs3).values()) == {None}
    assert log.requests()[0]["trace_id"] is None


async def test_each_leg_is_a_span_within_the_request_s_and_its_peer_a_part_of_it(
    cs3: Setup, spans: InMemorySpanExporter, log: Captured
) -> None:
    async with cs3.ask(stream=True, headers={"traceparent": TRACEPARENT}) as answer:
        await answer.read()
    *legs, root = spans.get_finished_spans()
    assert (root.name, root.kind, [leg.name for leg in legs]) == (
        "chat",
        SpanKind.SERVER,
        ["reserve", "prefill", "decode"],
    )
    assert root.parent is not None
    assert (f"{root.parent.trace_id:032x}", f"{root.parent.span_id:016x}") == (TRACE, PARENT)
    received = _received(cs3)
    for leg in legs:
        assert leg.parent == root.context
        assert leg.context is not None
        assert received[leg.name] == f"00-{TRACE}-{leg.context.span_id:016x}-01"
    assert log.requests()[0]["trace_id"] == TRACE
    assert root.attributes is not None
    assert root.attributes["tandem.request_id"] == answer.headers["X-Request-Id"]
    assert {"tandem.prefill_ms", "tandem.first_token_ms", "tandem.kv_bytes"} <= set(root.attributes)


async def test_a_failure_is_told_by_its_code_and_no_message(cs3: Setup, spans: InMemorySpanExporter) -> None:
    cs3.decode.errors["reserve"] = web.json_response(
        {"error": {"message": "no room for 'my prompt'", "code": "capacity"}}, status=429
    )
    async with cs3.ask() as answer:
        assert answer.status == 429
    for span in spans.get_finished_spans():
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "capacity")
        assert span.events == ()
    assert not re.search("prompt'", str([span.to_json() for span in spans.get_finished_spans()]))


async def test_without_a_collector_nothing_is_exported() -> None:
    async with tracing.exporting({}):
        assert tracing.passed_on() == {}
