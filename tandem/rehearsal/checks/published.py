"""Compare the metrics that a deployment reads with those that its programs printed.

An alarm on a metric that nobody publishes stays silent for ever, and a graph of one stays empty: nothing else tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.handoff.metrics import NAMESPACE
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.errors import RehearsalError
from tandem.rehearsal.tasks.functions import FunctionRun


class UnpublishedError(RehearsalError):
    """Name the metrics that are read and were not published."""


@dataclass(frozen=True, order=True, slots=True)
class Published:
    """Name a metric of Tandem's and its dimensions."""

    name: str
    dimensions: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.name}{{{', '.join(f'{name}={value}' for name, value in self.dimensions)}}}"


def require_published(aws: Api, lines: Iterable[str]) -> list[str]:
    """Return the metrics that the deployment reads; raise ``UnpublishedError`` for one that no line publishes."""
    read, written = set(_read(aws)), set(_written(lines))
    if missing := sorted(read - written):
        raise UnpublishedError(
            f"dashboard, alarms or scaling read {', '.join(map(str, missing))}, and no program published that; "
            f"published were {', '.join(map(str, sorted(written))) or 'none'}"
        )
    return [str(each) for each in sorted(read)]


def printed(logs: Path, functions: Iterable[FunctionRun]) -> Iterator[str]:
    """Yield every line that processes and functions printed."""
    for log in sorted(logs.glob("*.log")):
        yield from log.read_text(errors="replace").splitlines()
    for function in functions:
        yield from function.log.splitlines()


def _written(lines: Iterable[str]) -> Iterator[Published]:
    """Yield what CloudWatch Logs would make of log lines, as far as they are whole documents."""
    for line in lines:
        told = printed_object(line)
        for directive in told.get("_aws", {}).get("CloudWatchMetrics", []):
            names = [metric["Name"] for metric in directive["Metrics"] if metric["Name"] in told]
            for dimensions in directive["Dimensions"] if directive["Namespace"] == NAMESPACE else []:
                found = _dimensions({name: told[name] for name in dimensions})
                yield from (Published(name, found) for name in names)


def printed_object(line: str) -> dict[str, Any]:
    """Return the JSON object that a program printed in one line, empty where the line is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read(aws: Api) -> Iterator[Published]:
    cloudwatch = aws.client("cloudwatch")
    for entry in cloudwatch.list_dashboards()["DashboardEntries"]:
        body = json.loads(cloudwatch.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"])
        for widget in body["widgets"]:
            yield from _of_rows(widget["properties"].get("metrics", []))
    for alarm in cloudwatch.describe_alarms()["MetricAlarms"]:
        yield from _of_specification(alarm)
    targets = aws.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="ecs")
    for policy in targets["ScalingPolicies"]:
        yield from _of_specification(_customized(policy, "TargetTrackingScalingPolicyConfiguration"))
    for policy in aws.client("autoscaling").describe_policies()["ScalingPolicies"]:
        yield from _of_specification(_customized(policy, "TargetTrackingConfiguration"))


def _customized(policy: Mapping[str, Any], configuration: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = policy.get(configuration, {}).get("CustomizedMetricSpecification", {})
    return found


def _of_rows(rows: Iterable[list[Any]]) -> Iterator[Published]:
    """Yield the metrics of a widget: namespace, name, then dimension names and values, then options."""
    for row in rows:
        texts = [part for part in row if isinstance(part, str)]
        if texts[:1] == [NAMESPACE]:
            _, name, *pairs = texts
            yield Published(name, _dimensions(dict(zip(pairs[::2], pairs[1::2], strict=True))))


def _of_specification(specification: Mapping[str, Any]) -> Iterator[Published]:
    """Yield the metrics of an alarm or a scaling policy: one of its own, or those of its expressions."""
    metrics = [query.get("MetricStat", {}).get("Metric", {}) for query in specification.get("Metrics", [])]
    for metric in (specification, *metrics):
        if metric.get("Namespace") == NAMESPACE:
            pairs = {pair["Name"]: pair["Value"] for pair in metric.get("Dimensions", [])}
            yield Published(metric["MetricName"], _dimensions(pairs))


def _dimensions(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pairs.items()))
