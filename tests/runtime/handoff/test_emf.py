"""The embedded metric format, as its specification has it."""

from __future__ import annotations

import json

from runtime.handoff import emf, metrics


def test_a_document_names_its_metrics_with_unit_and_dimensions() -> None:
    values: dict[metrics.Metric, emf.Value] = {metrics.REQUESTS: 3, metrics.TIME_TO_FIRST_TOKEN: [1.5, 2.5]}
    line = emf.line(values, dimensions={"Deployment": "small", "Stage": "prefill"}, began=1.5, provider="efa")
    assert "\n" not in line
    assert json.loads(line) == {
        "_aws": {
            "Timestamp": 1500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Tandem",
                    "Dimensions": [["Deployment", "Stage"]],
                    "Metrics": [
                        {"Name": "Invocations", "Unit": "Count"},
                        {"Name": "TimeToFirstToken", "Unit": "Milliseconds"},
                    ],
                }
            ],
        },
        "event": "metrics",
        "Deployment": "small",
        "Stage": "prefill",
        "provider": "efa",
        "Invocations": 3,
        "TimeToFirstToken": [1.5, 2.5],
    }
