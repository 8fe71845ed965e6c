"""Whoever is woken knows what is wrong and where to read on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from constructs.observability.runbook import Runbook
from runtime.handoff import metrics
from tests.templates import resources, templates

_RUNBOOKS = (Path(__file__).parents[3] / "docs" / "runbooks.md").read_text()
_TOPIC = "arn:aws:sns:us-east-2:111122223333:on-call"
_GATEWAY = {"RequestsFail", "GatewayUnhealthy", "FirstTokenSlow", "ClientsThrottled"}
_PREFILL = {"KvLeasesExpireprefill", "KvTransfersFailprefill", "EfaNotInUseprefill", "HostsMissingprefilltrn2"}
_DECODE = {name.replace("prefill", "decode") for name in _PREFILL}


def _alarms(provider: str = "cs3", **changes: object) -> dict[str, dict[str, Any]]:
    """Return every alarm by its name in the construct."""
    found = resources(templates(provider, **changes)["observability"], "AWS::CloudWatch::Alarm")
    return {re.sub(r"^Alarms|[0-9A-F]{8}$", "", key): body for key, body in found.items()}


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize(
    ("provider", "alarms"),
    [
        ("cs3", _GATEWAY | _PREFILL | {"DecodeMemoryFull", "DecodeEndpointDown"}),
        ("vllm", _GATEWAY | _PREFILL | _DECODE),
        ("openai", _GATEWAY | {"DecodeEndpointDown"}),
    ],
)
def test_every_form_has_its_alarms(provider: str, alarms: set[str]) -> None:
    assert set(_alarms(provider)) == alarms


def test_every_alarm_links_to_a_heading_and_every_heading_has_an_alarm() -> None:
    headings = {_anchor(line.removeprefix("## ")) for line in _RUNBOOKS.splitlines() if line.startswith("## ")}
    linked = set()
    for provider in ("cs3", "vllm", "openai"):
        for alarm in _alarms(provider).values():
            text, link = alarm["AlarmDescription"].split(": ", 1)
            document, anchor = link.split("#")
            assert document == "docs/runbooks.md"
            assert text
            linked.add(anchor)
    assert linked == headings == set(Runbook)


def test_every_link_within_the_runbooks_leads_somewhere() -> None:
    headings = {_anchor(line.lstrip("# ")) for line in _RUNBOOKS.splitlines() if line.startswith("#")}
    assert set(re.findall(r"\(#([a-z-]+)\)", _RUNBOOKS)) <= headings
    docs = Path(__file__).parents[3] / "docs"
    assert all((docs / name).exists() for name in re.findall(r"\(([a-z-]+\.md)\)", _RUNBOOKS))


def test_each_runbook_gives_three_first_commands() -> None:
    _, *sections = _RUNBOOKS.split("\n## ")
    blocks = {section.splitlines()[0]: re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for section in sections}
    assert {name: [len(block.splitlines()) for block in found] for name, found in blocks.items()} == {
        name: [3] for name in blocks
    }


def test_links_lead_where_the_file_says() -> None:
    alarms = _alarms(observability__runbooks="https://wiki.example.com/tandem")
    assert all("https://wiki.example.com/tandem#" in alarm["AlarmDescription"] for alarm in alarms.values())


def test_alarms_notify_the_topic_of_the_file_when_they_fire_and_when_they_are_over() -> None:
    assert all("AlarmActions" not in alarm for alarm in _alarms().values())
    for alarm in _alarms(observability__alarm_topic_arn=_TOPIC).values():
        assert (alarm["AlarmActions"], alarm["OKActions"]) == ([_TOPIC], [_TOPIC])


def test_the_probes_alarm_watches_the_probes_metric() -> None:
    alarm = _alarms()["DecodeEndpointDown"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (metrics.NAMESPACE, metrics.DECODE_ENDPOINT_UP.name)
    assert alarm["Dimensions"] == [{"Name": metrics.DEPLOYMENT, "Value": "small"}]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "LessThanThreshold")
    assert alarm["TreatMissingData"] == "breaching"  # a probe that does not run is no sign of health


def test_silence_is_no_alarm_but_the_probes() -> None:
    quiet = {name: alarm for name, alarm in _alarms().items() if name != "DecodeEndpointDown"}
    assert {alarm["TreatMissingData"] for alarm in quiet.values()} == {"notBreaching"}


@pytest.mark.parametrize(
    ("name", "counted", "percent"),
    [("RequestsFail", "InvocationServerErrors", 1), ("ClientsThrottled", "InvocationThrottles", 5)],
)
def test_shares_are_of_all_requests_and_need_three_minutes_of_five(name: str, counted: str, percent: int) -> None:
    alarm = _alarms()[name]
    [expression] = [each["Expression"] for each in alarm["Metrics"] if "Expression" in each]
    named = {
        each["Id"]: each["MetricStat"]["Metric"]["MetricName"] for each in alarm["Metrics"] if "MetricStat" in each
    }
    assert (expression, named) == ("IF(all > 0, 100 * some / all, 0)", {"some": counted, "all": "Invocations"})
    assert (alarm["Threshold"], alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (percent, 3, 5)


def _seconds(alarm: dict[str, Any]) -> int:
    """Return over how long an alarm looks."""
    parts = [each["MetricStat"]["Period"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    [period] = {alarm.get("Period", *parts[:1]), *parts}
    return int(period) * int(alarm["EvaluationPeriods"])


def test_most_alarms_look_at_five_minutes() -> None:
    slow = {"DecodeMemoryFull": 600, "DecodeEndpointDown": 600, "HostsMissingprefilltrn2": 900}
    found = {name: _seconds(alarm) for name, alarm in _alarms().items()}
    assert found == {name: slow.get(name, 300) for name in found}


def test_the_file_says_how_long_a_first_token_may_take() -> None:
    alarm = _alarms(observability__first_token_p99_seconds=2.5)["FirstTokenSlow"]
    assert (alarm["MetricName"], alarm["ExtendedStatistic"], alarm["Threshold"]) == ("TimeToFirstToken", "p99", 2500)


def test_missing_hosts_raise_an_alarm_after_a_quarter_of_an_hour() -> None:
    alarm = _alarms()["HostsMissingprefilltrn2"]
    [expression, *parts] = sorted(alarm["Metrics"], key=lambda metric: "Expression" not in metric)
    assert expression["Expression"] == "wanted - present"
    names = {metric["Id"]: metric["MetricStat"]["Metric"]["MetricName"] for metric in parts}
    assert names == {"wanted": "GroupDesiredCapacity", "present": "GroupInServiceInstances"}
    assert {metric["MetricStat"]["Period"] * alarm["EvaluationPeriods"] for metric in parts} == {900}
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
