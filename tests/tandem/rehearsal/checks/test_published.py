"""Metrics that a deployment reads must be printed by something, under the same dimensions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.handoff import emf, metrics
from tandem.rehearsal.checks.published import UnpublishedError, printed, require_published
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.functions import FunctionRun
from tests.tandem.rehearsal.deployed import create

_SMALL = {"Deployment": "small"}
_PREFILL = {"Deployment": "small", "Stage": "prefill"}


def _alarm(**metric: Any) -> dict[str, Any]:
    common = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 0}
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": {**common, **metric}}


def _pairs(dimensions: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in dimensions.items()]


_EXPIRED = {"Namespace": "Tandem", "MetricName": "KvLeaseExpired", "Dimensions": _pairs(_PREFILL)}
_ERRORS = {"Namespace": "AWS/ApplicationELB", "MetricName": "HTTPCode_Target_5XX_Count", "Dimensions": []}
_QUERY = {"Id": "expired", "ReturnData": True, "MetricStat": {"Metric": _EXPIRED, "Period": 60, "Stat": "Sum"}}
_ROWS = [
    ["Tandem", "InvocationThrottles", "Deployment", "small", {"stat": "Sum"}],
    ["AWS/ECS", "CPUUtilization", "ServiceName", "gateway"],
    [{"expression": "a + b"}],
]
_WIDGETS = [{"type": "metric", "properties": {"metrics": _ROWS}}, {"type": "text", "properties": {"markdown": "#"}}]


@pytest.fixture(scope="module")
def reading(aws: Api) -> Iterator[Api]:
    """Deploy a dashboard and alarms that read three metrics of Tandem's and two of others."""
    create(
        aws,
        "reading",
        {
            "Up": _alarm(
                Namespace="Tandem",
                MetricName="DecodeEndpointUp",
                Dimensions=_pairs(_SMALL),
                Period=300,
                Statistic="Sum",
            ),
            "Errors": _alarm(**_ERRORS, Period=60, Statistic="Sum"),
            "Expired": _alarm(Metrics=[_QUERY]),
            "Page": {
                "Type": "AWS::CloudWatch::Dashboard",
                "Properties": {"DashboardName": "page", "DashboardBody": json.dumps({"widgets": _WIDGETS})},
            },
        },
    )
    yield aws
    aws.client("cloudformation").delete_stack(StackName="reading")


def _line(metric: metrics.Metric, dimensions: dict[str, str] | None = None) -> str:
    return emf.line({metric: 0}, dimensions=dimensions or _SMALL, began=0.0)


_ALL = (
    _line(metrics.THROTTLES),
    _line(metrics.DECODE_ENDPOINT_UP),
    _line(metrics.KV_LEASE_EXPIRED, _PREFILL),
    _line(metrics.REQUESTS),
)


def test_what_is_read_and_printed_is_listed(reading: Api) -> None:
    noise = ("prefill: ready", "[1, 2]", '{"event": "request"}', "{")
    assert require_published(reading, [*noise, *_ALL]) == [
        "DecodeEndpointUp{Deployment=small}",
        "InvocationThrottles{Deployment=small}",
        "KvLeaseExpired{Deployment=small, Stage=prefill}",
    ]


@pytest.mark.parametrize("missing", range(3))
def test_what_nobody_printed_is_named(reading: Api, missing: int) -> None:
    lines = [line for index, line in enumerate(_ALL) if index != missing]
    with pytest.raises(UnpublishedError, match=r"read \w+\{Deployment=small[^,}]*(, Stage=prefill)?\}, and no program"):
        require_published(reading, lines)


def test_another_deployment_s_or_stage_s_metric_is_not_the_one_that_is_read(reading: Api) -> None:
    other = _line(metrics.KV_LEASE_EXPIRED, {"Deployment": "small", "Stage": "decode"})
    with pytest.raises(UnpublishedError, match="KvLeaseExpired"):
        require_published(reading, [_ALL[0], _ALL[1], other])


def test_a_metric_whose_value_is_absent_is_not_published(reading: Api) -> None:
    document = json.loads(_ALL[0])
    del document["InvocationThrottles"]
    with pytest.raises(UnpublishedError, match="InvocationThrottles"):
        require_published(reading, [json.dumps(document), *_ALL[1:]])


def test_logs_of_processes_and_functions_are_read(tmp_path: Path) -> None:
    (tmp_path / "gateway.log").write_text("one\ntwo\n")
    assert list(printed(tmp_path, [FunctionRun("probe", None, "three\n")])) == ["one", "two", "three"]
