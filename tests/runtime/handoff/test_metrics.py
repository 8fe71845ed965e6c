"""The names that programs, alarms and scaling share."""

from __future__ import annotations

import re

from runtime.handoff import metrics

_ALL = {metric.name: metric for metric in (*metrics.GATEWAY, *metrics.WORKER, *metrics.PROBE)}


def test_names_are_cloudwatchs_kind_and_no_two_metrics_share_one() -> None:
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", name) for name in _ALL)
    assert len(set(metrics.GATEWAY)) == len(metrics.GATEWAY)
    assert {metric.name for metric in set(metrics.GATEWAY) & set(metrics.WORKER)} == {"KvTransferBytes"}


def test_every_metric_that_is_named_here_is_published() -> None:
    named = {value for value in vars(metrics).values() if isinstance(value, metrics.Metric)}
    assert named | set(metrics.PHASES.values()) == set(_ALL.values())


def test_statistics_are_cloudwatchs() -> None:
    assert {metric.statistic for metric in _ALL.values()} == {"Sum", "Maximum", "Minimum", "Average", "p99"}
