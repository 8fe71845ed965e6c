"""Write CloudWatch's embedded metric format: one JSON line on stdout, from which CloudWatch Logs makes metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from runtime.handoff.metrics import NAMESPACE, Metric

MAX_VALUES: Final = 100
"""Values that one metric of a document may have (Embedded Metric Format Specification)."""

Value = float | Sequence[float]


def line(values: Mapping[Metric, Value], *, dimensions: Mapping[str, str], began: float, **properties: object) -> str:
    """Return one document; ``began`` is the period's beginning in seconds since 1970.

    ``properties`` are kept beside the metrics for CloudWatch Logs Insights, and make none.
    """
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": metric.name, "Unit": metric.unit.value} for metric in values],
    }
    document = {
        "_aws": {"Timestamp": int(began * 1000), "CloudWatchMetrics": [directive]},
        "event": "metrics",
        **dimensions,
        **properties,
        **{metric.name: value for metric, value in values.items()},
    }
    return json.dumps(document)
