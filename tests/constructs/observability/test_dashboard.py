"""One page and its alarms, for each form of a deployment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.handoff import metrics
from tests.templates import only, resources, stack, templates


def _text(provider: str) -> str:
    body: Any = only(templates(provider)["observability"], "AWS::CloudWatch::Dashboard")["DashboardBody"]
    return "".join(part if isinstance(part, str) else "x" for part in body["Fn::Join"][1])


@pytest.mark.parametrize(
    ("provider", "alarms", "hosts"),
    [
        ("cs3", {"ServerErrors", "UnhealthyGateway", "DecodeEndpointDown", "HostsMissingprefilltrn2"}, 1),
        ("vllm", {"ServerErrors", "UnhealthyGateway", "HostsMissingprefilltrn2", "HostsMissingdecodetrn2"}, 2),
        ("openai", {"ServerErrors", "UnhealthyGateway", "DecodeEndpointDown"}, 0),
    ],
)
def test_every_form_has_its_alarms_and_graphs(provider: str, alarms: set[str], hosts: int) -> None:
    found = resources(templates(provider)["observability"], "AWS::CloudWatch::Alarm")
    assert {name for name in alarms if any(name in key for key in found)} == alarms
    assert len(found) == len(alarms)
    widgets = json.loads(_text(provider))["widgets"]
    metrics = [metric for widget in widgets for metric in widget["properties"].get("metrics", [])]
    assert sum("GroupInServiceInstances" in metric for metric in metrics) == hosts
    assert len(widgets) == (5 if hosts else 4)


def test_the_probes_alarm_watches_the_probes_metric() -> None:
    stack("observability").has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "Namespace": metrics.NAMESPACE,
            "MetricName": metrics.DECODE_ENDPOINT_UP.name,
            "Dimensions": [{"Name": metrics.DEPLOYMENT, "Value": "small"}],
            "Threshold": 1,
            "ComparisonOperator": "LessThanThreshold",
            "TreatMissingData": "breaching",  # a probe that does not run is no sign of health
        },
    )


def test_silence_of_the_gateway_is_no_alarm() -> None:
    found = resources(templates("vllm")["observability"], "AWS::CloudWatch::Alarm").values()
    assert {alarm["TreatMissingData"] for alarm in found} == {"notBreaching"}
    assert {alarm["MetricName"] for alarm in found if "MetricName" in alarm} == {
        "HTTPCode_Target_5XX_Count",
        "UnHealthyHostCount",
    }


def test_missing_hosts_raise_an_alarm_after_a_quarter_of_an_hour() -> None:
    found = resources(templates()["observability"], "AWS::CloudWatch::Alarm")
    [alarm] = [body for key, body in found.items() if "HostsMissing" in key]
    [expression, *metrics] = sorted(alarm["Metrics"], key=lambda metric: "Expression" not in metric)
    assert expression["Expression"] == "wanted - present"
    names = {metric["Id"]: metric["MetricStat"]["Metric"]["MetricName"] for metric in metrics}
    assert names == {"wanted": "GroupDesiredCapacity", "present": "GroupInServiceInstances"}
    assert {metric["MetricStat"]["Period"] * alarm["EvaluationPeriods"] for metric in metrics} == {900}
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert "docs/capacity.md" in alarm["AlarmDescription"]
