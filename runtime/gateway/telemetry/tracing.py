"""Trace each chat completion across its legs: W3C trace context from the client to every peer, spans of our own.

A client's ``traceparent`` is always passed on; spans are made only where OpenTelemetry's variables name a collector.
Baggage is not passed on: a peer gets nothing that a caller wrote but the body and this id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime.handoff.settings import TRACES_ENDPOINT

Attributes = Mapping[str, str | int | float | bool]

REQUEST: Final = "chat"
"""The span of a whole request; those of its legs have the names of their phases."""

_CONTEXT: Final = TraceContextTextMapPropagator()
_NOWHERE: Final = Context()
_UNTRACED: Final = nullcontext()
_tracer: Tracer | None = None
"""What makes spans; None where nobody takes them: making them cost a tenth of a short request's time."""


@asynccontextmanager
async def exporting(environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Export spans as long as the context lasts, where a collector is named; on leaving, send what is left."""
    global _tracer
    if not environment.get(TRACES_ENDPOINT):
        yield
        return
    # they take a fifth of a second of CPU to import, which a gateway that traces nothing can do without
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()  # sampler, service name and endpoint are OpenTelemetry's own variables
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("tandem.gateway")
    try:
        yield
    finally:
        _tracer = None
        await asyncio.to_thread(provider.shutdown)


def parent(headers: Mapping[str, str]) -> Context:
    """Return the trace that a client's headers name; an empty context where they name none."""
    return _CONTEXT.extract(headers, Context()) if "traceparent" in headers else _NOWHERE


def request(client: Context, described: Callable[[], Attributes]) -> AbstractContextManager[str | None]:
    """Trace a request, ``described`` at its end, within its client's trace; as a context it is the trace's id.

    That is 32 hexadecimal digits, None where the trace is not kept.
    """
    if _tracer is not None:
        return _described(_tracer, client, described)
    return _joined(client) if client else _UNTRACED


def leg(name: str) -> AbstractContextManager[Span] | None:
    """Trace one leg of the request under way; None where nobody takes spans."""
    return None if _tracer is None else _span(_tracer, name, SpanKind.CLIENT, None)


def passed_on() -> dict[str, str]:
    """Return the headers by which a peer joins the trace: none where there is none."""
    carrier: dict[str, str] = {}
    if context.get_current():
        _CONTEXT.inject(carrier)
    return carrier


def _trace_id(span: Span) -> str | None:
    context = span.get_span_context()
    return format(context.trace_id, "032x") if context.trace_flags.sampled else None


@contextmanager
def _joined(client: Context) -> Iterator[str | None]:
    joined = context.attach(client)
    try:
        yield _trace_id(trace.get_current_span(client))
    finally:
        context.detach(joined)


@contextmanager
def _described(tracer: Tracer, client: Context, described: Callable[[], Attributes]) -> Iterator[str | None]:
    with _span(tracer, REQUEST, SpanKind.SERVER, client) as span:
        try:
            yield _trace_id(span)
        finally:
            if span.is_recording():
                span.set_attributes(described())


@contextmanager
def _span(tracer: Tracer, name: str, kind: SpanKind, parent: Context | None) -> Iterator[Span]:
    """Open a span that tells the code of what ended it; messages may quote a peer, so they stay out."""
    with tracer.start_as_current_span(
        name, parent, kind=kind, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            span.set_status(StatusCode.ERROR, _code(error))
            raise


def _code(error: BaseException) -> str:
    """Return the code of an error that has one, which ours and peers' have, else its kind."""
    code = getattr(error, "code", None)
    return f"{code!s:.80}" if code else type(error).__name__
