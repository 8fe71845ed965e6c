"""The collector's stand-in reads what OpenTelemetry's own exporter sends."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.standins.collector import spans


def test_spans_keep_their_names_parents_and_times() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("test")
    with (
        tracer.start_as_current_span("chat", attributes={"why": "load", "number": 1}),
        tracer.start_as_current_span("prefill"),
    ):
        pass
    leg, root = spans(encode_spans(kept.get_finished_spans()).SerializeToString())
    assert (leg["name"], root["name"], root["parent"]) == ("prefill", "chat", "")
    assert leg["parent"] == root["span"]
    assert leg["trace"] == root["trace"]
    assert len(root["trace"]) == 32
    assert root["said"] == {"why": "load"}
    assert root["began"] <= leg["began"] <= leg["ended"] <= root["ended"]


def test_nothing_is_no_span() -> None:
    assert spans(b"") == []
