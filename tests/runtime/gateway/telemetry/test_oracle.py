"""The token that prefill chose is held against decode's first one, where nothing is drawn by lot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.gateway.telemetry.oracle import Oracle, Verdict, first_text, greedy
from runtime.handoff.contract import COMPLETIONS
from tests.runtime.gateway.conftest import GATEWAY_KEY, MODEL, Captured, Setup, Start
from tests.runtime.gateway.telemetry.test_metrics import sample

OPENING = {"role": "assistant", "content": ""}


def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": reason}]}).encode() + b"\n\n"


def told(foretold: str, *chunks: bytes) -> list[Verdict]:
    verdicts: list[Verdict] = []
    oracle: Oracle | None = Oracle(foretold, verdicts.append)
    for chunk in chunks:
        oracle = oracle.push(chunk) if oracle else None
    return verdicts


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([event(OPENING), event({"content": " Paris"})], [Verdict.SAME]),
        ([event(OPENING), event({"content": " Pa"}), event({"content": "ris, of"})], [Verdict.SAME]),
        ([event(OPENING), event({"content": " Rome"}), event({"content": " is"})], [Verdict.OTHER]),
        ([event(OPENING), event({"reasoning_content": " Paris"})], [Verdict.SAME]),
        ([event(OPENING), event({}, "stop")], [Verdict.OTHER]),
        ([event(OPENING) + event({"content": " Paris"})[:40], event({"content": " Paris"})[40:]], [Verdict.SAME]),
        ([event(OPENING), b"data: [DONE]\n\n", event({"content": " Rome"})], []),
        ([b"data: not JSON\n\n", event({"content": " Rome"})], []),
        ([b"data: 7\n\ndata: {}\n\n"], []),
        ([event(OPENING)], []),
    ],
)
def test_a_stream_tells_once_how_it_begins(chunks: list[bytes], expected: list[Verdict]) -> None:
    assert told(" Paris", *chunks) == expected


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"choices": [{"message": {"content": "A"}}]}, "A"),
        ({"choices": [{"message": {"content": None, "reasoning": "B"}}]}, "B"),
        ({"choices": [{"text": "C"}]}, "C"),
        ({"choices": [{"message": {"content": "\ufffd"}}]}, ""),
        ({"choices": [{"message": {"content": 7}}]}, ""),
        ({"choices": [{"message": 7}]}, ""),
        ({"choices": []}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_first_text_is_found_in_every_shape(answer: object, text: str) -> None:
    assert first_text(answer) == text


def test_only_what_leaves_nothing_to_chance_is_comparable() -> None:
    assert greedy({"temperature": 0})
    assert greedy({"temperature": 1, "top_k": 1})
    assert not greedy({"temperature": 0.2})
    assert not greedy({})


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("provider", ["cs3", "vllm"])
@pytest.mark.parametrize("said", ["Hello", "Hi"])
async def test_where_they_differ_metric_log_and_trace_say_so(
    start: Start, log: Captured, spans: InMemorySpanExporter, stream: bool, provider: str, said: str
) -> None:
    setup = await start(provider)
    setup.prefill.said = said
    expected = "same" if said == "Hello" else "other"
    async with setup.ask(stream=stream, temperature=0) as answer:
        await answer.read()
    assert sample(setup, "tandem_gateway_first_tokens_total", verdict=expected) == 1
    counted = json.loads(setup.metrics.take_line(began=0.0))
    assert (counted["FirstTokensCompared"], counted["FirstTokensOther"]) == (1, expected == "other")
    assert log.requests()[0]["first_token"] == expected
    attributes = spans.get_finished_spans()[-1].attributes
    assert attributes is not None
    assert attributes["tandem.first_token"] == expected


async def test_a_completion_of_text_is_compared_as_well(cs3: Setup, log: Captured) -> None:
    asked = {"model": MODEL, "prompt": "Say hello", "temperature": 0}
    headers = {"Authorization": f"Bearer {GATEWAY_KEY}"}
    async with cs3.session.post(cs3.url + COMPLETIONS, json=asked, headers=headers) as answer:
        await answer.read()
    assert log.requests()[0]["first_token"] == "same"


@pytest.mark.parametrize(("provider", "temperature"), [("cs3", 0.7), ("openai", 0)])
async def test_what_is_drawn_by_lot_or_prefilled_once_is_not_compared(
    start: Start, log: Captured, provider: str, temperature: float
) -> None:
    setup = await start(provider)
    setup.prefill.said = "Hi"
    async with setup.ask(stream=True, temperature=temperature) as answer:
        await answer.read()
    assert log.requests()[0]["first_token"] is None
