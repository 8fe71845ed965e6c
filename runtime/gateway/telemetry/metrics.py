"""Count what the gateway does: for CloudWatch minute by minute, for Prometheus since the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from runtime.gateway.telemetry.gauge import Gauge
from runtime.gateway.telemetry.oracle import Verdict
from runtime.gateway.telemetry.phases import to_microseconds
from runtime.gateway.telemetry.prometheus import Prometheus
from runtime.gateway.telemetry.record import CLIENT_GONE, Record
from runtime.gateway.telemetry.sample import Sample
from runtime.handoff import emf
from runtime.handoff import metrics as names
from runtime.handoff.metrics import Metric

_COUNTED: Final = (
    *(names.REQUESTS, names.ERRORS, names.THROTTLES, names.CLIENT_ERRORS, names.CLIENTS_GONE),
    *(names.INPUT_TOKENS, names.OUTPUT_TOKENS),
    *(names.KV_TRANSFER_BYTES, names.FIRST_TOKENS_COMPARED, names.FIRST_TOKENS_OTHER),
)


class Metrics:
    """Follow every chat completion of one gateway.

    Counters are exact. Of each minute's requests a fair sample is kept, of streamed ones whole with all phases, so that
    the means of the phases sum to the mean of the time to first token.
    """

    def __init__(self, *, deployment: str, model: str) -> None:
        self.streams, self.queued = Gauge(), Gauge()
        self._dimensions = {names.DEPLOYMENT: deployment}
        self._prometheus = Prometheus(model, streams=self.streams, queued=self.queued)
        self._counts: Counter[Metric] = Counter()
        self._fill: float | None = None
        self._begin()

    def admits(self, waiting: Callable[[], int]) -> None:
        """Show how many requests wait for their turn."""
        self._prometheus.waiting.set_function(waiting)

    def ended(self, record: Record, status: int) -> None:
        """Count one request that ended with ``status``."""
        total_ms = record.phases.total_ms
        failed = status >= 500 or (status == 200 and record.code is not None)
        counts = self._counts
        counts[names.REQUESTS] += 1
        if failed:
            counts[names.ERRORS] += 1
        elif blamed := _blamed(status):
            counts[blamed] += 1
        if record.kv_bytes:
            counts[names.KV_TRANSFER_BYTES] += record.kv_bytes
        if record.usage:
            counts[names.INPUT_TOKENS] += record.usage.prompt_tokens
            counts[names.OUTPUT_TOKENS] += record.usage.completion_tokens
        if record.phases.first_token is not None:
            counts[names.FIRST_TOKENS_COMPARED] += 1
            counts[names.FIRST_TOKENS_OTHER] += record.phases.first_token is Verdict.OTHER
        self._times.offer(to_microseconds(total_ms))
        if record.stream and record.phases.ttft_ms is not None:
            self._first_tokens.offer(_first_token(record))
        self._prometheus.ended(record, status, total_ms / 1000, failed=failed)

    def filled(self, share: float) -> None:
        """Note how much of the endpoint's KV memory is reserved, 0 to 1."""
        self._fill = share if self._fill is None else max(self._fill, share)
        self._prometheus.fill.set(share)

    def take_line(self, began: float) -> str:
        """Return the document of the period that ``began`` then, without what was not measured, and begin the next."""
        values: dict[Metric, emf.Value] = {name: self._counts[name] for name in _COUNTED}
        values[names.QUEUED_PROMPT_TOKENS] = round(self.queued.take_mean(), 6)
        values[names.PROMPT_TOKENS] = round(self.queued.take_raised(), 6)
        values[names.ACTIVE_STREAMS] = round(self.streams.take_mean(), 6)
        if self._fill is not None:
            values[names.RESERVATION_FILL] = self._fill
        if self._times.items:
            values[names.REQUEST_TIME] = self._times.items
        if self._first_tokens.items:
            values |= {metric: [each[metric] for each in self._first_tokens.items] for metric in _FIRST_TOKEN}
        self._begin()
        return emf.line(values, dimensions=self._dimensions, began=began)

    def exposition(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return self._prometheus.exposition()

    def _begin(self) -> None:
        self._counts.clear()
        self._fill = None
        self._times: Sample[float] = Sample(emf.MAX_VALUES)
        self._first_tokens: Sample[Mapping[Metric, float]] = Sample(emf.MAX_VALUES)


def _blamed(status: int) -> Metric | None:
    """Return the counter of statuses for which a client, or its limits, are to blame."""
    if status < 400 or status > CLIENT_GONE:
        return None
    return {429: names.THROTTLES, CLIENT_GONE: names.CLIENTS_GONE}.get(status, names.CLIENT_ERRORS)


_FIRST_TOKEN: Final = (names.TIME_TO_FIRST_TOKEN, *names.PHASES.values())


def _first_token(record: Record) -> dict[Metric, float]:
    phases = record.phases
    parts = (phases.ttft_ms or 0.0, *phases.of_first_token.values())
    return {metric: to_microseconds(spent) for metric, spent in zip(_FIRST_TOKEN, parts, strict=True)}
