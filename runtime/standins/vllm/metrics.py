"""Expose vLLM's metrics, as far as they are true of the stand-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BYTES = tuple(2.0**power for power in range(11, 34))
_TRANSFER_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60)


class Metrics:
    """Own a registry of its own, so that several servers may live in one process."""

    def __init__(self, model: str) -> None:
        self._registry = CollectorRegistry()
        self._labels = {"model_name": model, "engine": "0"}
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens prefilled.")
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated.")
        self.kv_expired = self._counter("nixl_num_kv_expired_reqs", "Requests whose KV lease ran out unread.")
        self.late_notifications = self._counter(
            "nixl_num_notifications_after_expiry", "Notifications for requests without lease."
        )
        # vLLM exposes these of both sides; a producer transfers nothing itself
        self.failed_transfers = self._counter("nixl_num_failed_transfers", "Transfers that failed.")
        self._moved = self._histogram("nixl_bytes_transferred", "Bytes of a transfer.", _BYTES)
        self._transfer_seconds = self._histogram("nixl_xfer_time_seconds", "Time of a transfer.", _TRANSFER_SECONDS)
        self.queue_seconds = self._histogram("request_queue_time_seconds", "Time in the queue.")
        self.prefill_seconds = self._histogram("request_prefill_time_seconds", "Time in prefill.")
        self._success = Counter(
            "vllm:request_success", "Requests answered.", [*self._labels, "finished_reason"], registry=self._registry
        )

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Expose ``vllm:<name>``, read at each scrape."""
        gauge = Gauge(f"vllm:{name}", text, list(self._labels), registry=self._registry)
        gauge.labels(**self._labels).set_function(read)

    def answered(self, finish_reason: str, *, prompt_tokens: int, generation_tokens: int) -> None:
        """Count one answered request."""
        self._success.labels(**self._labels, finished_reason=finish_reason).inc()
        self.prompt_tokens.inc(prompt_tokens)
        self.generation_tokens.inc(generation_tokens)

    def transferred(self, moved: int, seconds: float) -> None:
        """Count one transfer of so many bytes."""
        self._moved.observe(moved)
        self._transfer_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vllm:{name}", text, list(self._labels), registry=self._registry).labels(**self._labels)

    def _histogram(self, name: str, text: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
        histogram = Histogram(f"vllm:{name}", text, list(self._labels), buckets=buckets, registry=self._registry)
        return histogram.labels(**self._labels)
