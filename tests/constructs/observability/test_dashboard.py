"""One page, for each form of a deployment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.handoff import metrics
from tests.templates import only, templates

_KNOWN = {metric.name for metric in (*metrics.GATEWAY, *metrics.WORKER)}


def _widgets(provider: str, **changes: object) -> list[dict[str, Any]]:
    body: Any = only(templates(provider, **changes)["observability"], "AWS::CloudWatch::Dashboard")["DashboardBody"]
    text = "".join(part if isinstance(part, str) else "x" for part in body["Fn::Join"][1])
    widgets: list[dict[str, Any]] = json.loads(text)["widgets"]
    return widgets


def _rows(widgets: list[dict[str, Any]]) -> list[list[Any]]:
    return [row for widget in widgets for row in widget["properties"].get("metrics", [])]


def _titles(provider: str) -> list[str]:
    widgets = sorted(_widgets(provider), key=lambda widget: (widget["y"], widget["x"]))
    return [widget["properties"].get("title", widget["properties"].get("markdown", ""))[:24] for widget in widgets]


def test_it_reads_from_what_is_wrong_to_what_it_costs() -> None:
    assert _titles("cs3") == [
        "# small\nexample/model, d",
        "Alarms",
        "Time to first token by p",
        "Time to first token p50,",
        "Requests a minute: all, ",
        "Prompt tokens in prefill",
        "KV read from prefill (by",
        "KV lost: lease expired, ",
        "EFA in use by every work",
        "Share of KV memory: rese",
        "Trainium hosts in servic",
        "Gateway CPU (%); unhealt",
        "Trainium hosts ($ an hou",
        "**Cost**: `tandem plan` ",
    ]


@pytest.mark.parametrize(("provider", "hosts", "widgets"), [("cs3", 1, 14), ("vllm", 2, 14), ("openai", 0, 7)])
def test_every_form_shows_what_it_has(provider: str, hosts: int, widgets: int) -> None:
    found = _widgets(provider)
    shown = [each for each in found if each["properties"].get("title") == "Trainium hosts in service"]
    assert len(_rows(shown)) == hosts
    assert len(found) == widgets
    assert all(widget["x"] + widget["width"] <= 24 for widget in found)


@pytest.mark.parametrize("provider", ["cs3", "vllm", "openai"])
def test_every_metric_of_ours_is_one_that_a_program_publishes(provider: str) -> None:
    ours = [row for row in _rows(_widgets(provider)) if row[0] == metrics.NAMESPACE]
    assert ours
    for row in ours:
        assert row[1] in _KNOWN
        assert row[2:4] == [metrics.DEPLOYMENT, "small"]
        stages = row[5:6] if row[4:5] == [metrics.STAGE] else []
        assert set(stages) <= {"prefill", "decode"}


def test_the_phases_are_stacked_in_their_order() -> None:
    [stacked] = [widget for widget in _widgets("cs3") if widget["properties"].get("stacked")]
    assert [row[1] for row in stacked["properties"]["metrics"]] == [phase.name for phase in metrics.PHASES.values()]
    assert {row[-1].get("stat", "Average") for row in stacked["properties"]["metrics"]} == {"Average"}


def test_a_group_that_scales_shows_what_prompts_need_and_whether_decode_brakes_it() -> None:
    group = {"name": "trn2", "instance_type": "trn2.48xlarge", "tensor_parallel": 64, "count": 1, "max_count": 2}
    other = {**group, "name": "other", "count": 2, "max_count": 3}
    widgets = _widgets("cs3", prefill__groups=[group, other])
    graphs = [each for each in widgets if "hosts that prompts need" in each["properties"].get("title", "")]
    assert [each["properties"]["title"].split(":")[0] for each in graphs] == ["prefill trn2", "prefill other"]
    for graph in graphs:
        shown = [row[-1] for row in graph["properties"]["metrics"] if "expression" in row[-1]]
        visible = [each for each in shown if each.get("visible", True)]
        assert [each.get("yAxis", "left") for each in visible] == ["left", "right"]


def test_reservations_are_shown_where_an_endpoint_grants_them() -> None:
    shown = {provider: {row[1] for row in _rows(_widgets(provider)) if len(row) > 1} for provider in ("cs3", "vllm")}
    assert "ReservationFill" in shown["cs3"]
    assert "ReservationFill" not in shown["vllm"]


def test_hosts_cost_what_the_price_table_says_with_its_day() -> None:
    widgets = _widgets(
        "cs3",
        region="us-east-1",
        network__efa_zone="us-east-1a",
        network__load_balancer_zones=["us-east-1a", "us-east-1b"],
        prefill__groups__0__instance_type="trn1.32xlarge",
        prefill__groups__0__tensor_parallel=32,
    )
    [row] = [row for row in _rows(widgets) if "$ an hour" in str(row[-1])]
    assert row[0]["expression"] == "FILL(hosts0, 0) * 21.5"
    [text] = [
        each["properties"]["markdown"] for each in widgets if "**Cost**" in each["properties"].get("markdown", "")
    ]
    assert "prefill trn2: $21.50 an hour for each trn1.32xlarge, as of 20" in text
