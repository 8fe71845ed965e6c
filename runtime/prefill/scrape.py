"""Read vLLM's own metrics from Prometheus's text format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from runtime.handoff import metrics
from runtime.handoff.metrics import Metric

COUNTERS: Final[Mapping[str, Metric]] = {
    "vllm:nixl_num_kv_expired_reqs_total": metrics.KV_LEASE_EXPIRED,
    "vllm:nixl_num_notifications_after_expiry_total": metrics.KV_NOTIFIED_LATE,
    "vllm:nixl_num_failed_transfers_total": metrics.KV_TRANSFERS_FAILED,
    "vllm:nixl_bytes_transferred_sum": metrics.KV_TRANSFER_BYTES,
}
"""What only grows, as long as vLLM runs."""
GAUGES: Final[Mapping[str, Metric]] = {
    "vllm:kv_cache_usage_perc": metrics.KV_CACHE_USAGE,  # a share of 1 in spite of its name
    "vllm:num_requests_waiting": metrics.REQUESTS_WAITING,
}

_SAMPLE: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)", re.MULTILINE)


def read(text: str) -> dict[Metric, float]:
    """Return those of ``COUNTERS`` and ``GAUGES`` that ``text`` has, summed over vLLM's engines."""
    found: dict[Metric, float] = {}
    for name, value in _SAMPLE.findall(text):
        metric = COUNTERS.get(name) or GAUGES.get(name)
        if metric:
            found[metric] = found.get(metric, 0.0) + float(value)
    return found
