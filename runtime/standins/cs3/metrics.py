"""Count what the endpoint does, for Prometheus."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, generate_latest

from runtime.handoff.reservation import Reservations


class Metrics:
    """Own a registry of its own, so that two endpoints in one process do not mix.

    ``requests`` counts chat completions by outcome: ``ok``, ``cancelled`` (the client left) or an error code.
    """

    def __init__(self, reservations: Reservations, provider: str) -> None:
        self._registry = CollectorRegistry()
        transport = Info("tandem_decode_transport", "What KV goes by, read back from it", registry=self._registry)
        transport.info({"provider": provider})
        self.active = Gauge("tandem_decode_active", "Answers being decoded", registry=self._registry)
        self.kv_bytes = Counter(
            "tandem_decode_kv_bytes", "KV bytes that answers were decoded from", registry=self._registry
        )
        self.requests = Counter(
            "tandem_decode_requests", "Chat completions by outcome", ["code"], registry=self._registry
        )
        self.imports = Counter(
            "tandem_decode_kv_imports",
            "KV imported, by what vouches for it: digests, or only the time of its lease",
            ["integrity"],
            registry=self._registry,
        )
        self.streamed = Counter(
            "tandem_decode_kv_streamed", "Imports whose reading began during prefill", registry=self._registry
        )
        self.late_bytes = Counter(
            "tandem_decode_kv_late_bytes",
            "Bytes of streamed KV that were still to be read when prefill had ended",
            registry=self._registry,
        )
        held = Gauge("tandem_decode_reservations", "Reservations that wait or are in use", registry=self._registry)
        held.set_function(lambda: reservations.count(now=time.monotonic()))
        size = Gauge("tandem_decode_reserved_bytes", "KV memory held by reservations", registry=self._registry)
        size.set_function(lambda: reservations.reserved_bytes(now=time.monotonic()))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
