"""Expose the gateway's metrics to Prometheus, under Dynamo's names where Dynamo has the same thing.

Times are in vLLM's buckets, so that both can be drawn in one graph.
"""

from __future__ import annotations

import collections
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from runtime.gateway.telemetry import gauge
from runtime.gateway.telemetry.record import Record
from runtime.gateway.telemetry.tally import Tally
from runtime.handoff.contract import Code
from runtime.handoff.metrics import PHASES

_SECONDS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_CODES: Final = frozenset(code.value for code in Code) | {"client_gone", "internal"}
"""Codes that are labels; a peer's own are counted as ``other``, for it could make up any number of them."""

_MOST_ALIKE: Final = 1000
"""Ends of requests that are kept apart at most until somebody asks: a peer could make up any number of codes."""


class Prometheus:
    """Own a registry; every metric has the label ``model``."""

    def __init__(self, model: str, *, streams: gauge.Gauge, queued: gauge.Gauge) -> None:
        self._registry = CollectorRegistry()
        self._alike: collections.Counter[tuple[Any, ...]] = collections.Counter()
        self._model = model
        ProcessCollector(registry=self._registry)
        self._requests = self._tally("dynamo_frontend_requests", "Requests that ended.", "request_type", "status")
        self._codes = self._tally("tandem_gateway_errors", "Requests that ended with an error code.", "code")
        self._tenants = self._tally("tandem_gateway_tenant_requests", "Requests by tenant.", "tenant", "outcome")
        self._kv = Counter(
            "tandem_gateway_kv_transfer_bytes",
            "KV bytes read from prefill workers.",
            ["model"],
            registry=self._registry,
        ).labels(model)
        self._first = self._histogram(
            "dynamo_frontend_time_to_first_token_seconds", "From a streamed request to the first bytes of its answer."
        ).labels(model)
        self._total = self._histogram(
            "dynamo_frontend_request_duration_seconds", "From a request to the end of its answer."
        ).labels(model)
        self._decisions = self._tally("tandem_gateway_decisions", "Choices of policies, and why.", "what", "reason")
        self._retries = self._tally("tandem_gateway_retries", "Legs tried again.", "leg", "code", "action")
        self._first_tokens = self._tally("tandem_gateway_first_tokens", "Decode's against prefill's.", "verdict")
        phases = self._histogram("tandem_gateway_phase_seconds", "Phases of the time to first token.", "phase")
        self._phases = {name: phases.labels(model, name) for name in PHASES}
        self.fill = self._gauge("tandem_decode_reservation_fill", "Share of the endpoint's KV memory reserved.")
        self.waiting = self._gauge("dynamo_frontend_queued_requests", "Requests that wait for their turn.")
        self._gauge("dynamo_frontend_active_requests", "Requests under way.").set_function(lambda: streams.level)
        self._gauge("tandem_gateway_queued_prompt_tokens", "Prompt tokens waiting for or inside prefill.").set_function(
            lambda: queued.level
        )

    def ended(self, record: Record, status: int, total_seconds: float, *, failed: bool) -> None:
        """Count one request that ended."""
        phases = record.phases
        # those that ended alike are told apart by no counter: so a request adds to one, not to six
        alike = (status, failed, record.stream, record.code, record.tenant, phases.first_token)
        self._alike[(*alike, *phases.decisions.items())] += 1
        for leg, code, action in phases.retries:
            self._retries.add(1, leg, code, action)
        if record.kv_bytes:
            self._kv.inc(record.kv_bytes)
        self._total.observe(total_seconds)
        if record.stream and phases.ttft_ms is not None:
            self._first.observe(phases.ttft_ms / 1000)
            for name, spent in phases.of_first_token.items():
                self._phases[name].observe(spent / 1000)
        if len(self._alike) > _MOST_ALIKE:
            self._settle()

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        self._settle()
        return generate_latest(self._registry)

    def _settle(self) -> None:
        """Count by each label those that ended alike."""
        for (status, failed, stream, code, tenant, first_token, *decisions), count in self._alike.items():
            self._requests.add(
                count, "stream" if stream else "unary", "error" if failed or status >= 400 else "success"
            )
            if code is not None:
                self._codes.add(count, code if code in _CODES else "other")
            if tenant is not None:
                self._tenants.add(count, tenant, _outcome(status, failed=failed))
            if first_token:
                self._first_tokens.add(count, first_token)
            for what, reason in decisions:
                self._decisions.add(count, what, reason)
        self._alike.clear()

    def _tally(self, name: str, text: str, *labels: str) -> Tally:
        tally = Tally(name, text, labels, self._model)
        self._registry.register(tally)
        return tally

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, ["model", *labels], buckets=_SECONDS, registry=self._registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["model"], registry=self._registry).labels(self._model)


def _outcome(status: int, *, failed: bool) -> str:
    """Return ``failed``, ``throttled``, ``refused`` or ``success``; tenants are those of the document, so bounded."""
    if failed:
        return "failed"
    if status == 429:
        return "throttled"
    return "refused" if status >= 400 else "success"
