"""Tables in the documentation are the ones in the code."""

from __future__ import annotations

from pathlib import Path

from runtime.handoff import metrics

_DOCS = Path(__file__).parents[1] / "docs"


def test_every_metric_is_documented_as_it_is() -> None:
    text = (_DOCS / "observability.md").read_text()
    listed = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 4]
    known = {metric.name: metric for metric in (*metrics.GATEWAY, *metrics.WORKER, *metrics.PROBE)}
    rows = [f"| `{metric.name}` | {metric.statistic} | {metric.meaning} |" for metric in known.values()]
    assert [line for line in listed if line in rows] == rows
