"""A collector stands beside the gateway where the file asks for traces, and nowhere else."""

from __future__ import annotations

from typing import Any

from constructs.gateway import collector
from runtime.handoff import settings
from tests.templates import named, only, statements, templates

_XRAY = {"observability__tracing": "xray", "observability__trace_ratio": 0.25}


def _containers(**changes: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = only(templates("cs3", **changes)["gateway"], "AWS::ECS::TaskDefinition")[
        "ContainerDefinitions"
    ]
    return found


def test_without_tracing_there_is_one_container_that_exports_nothing() -> None:
    [gateway] = _containers()
    assert settings.TRACES_ENDPOINT not in named(gateway["Environment"])


def test_the_gateway_s_spans_go_to_the_collector_beside_it() -> None:
    gateway, beside = _containers(**_XRAY)
    assert (beside["Image"], beside["Essential"]) == (collector.IMAGE, False)
    assert beside["LogConfiguration"]["LogDriver"] == "awslogs"
    variables = named(gateway["Environment"])
    assert variables[settings.TRACES_ENDPOINT] == "http://localhost:4318/v1/traces"
    assert (variables["OTEL_TRACES_SAMPLER"], variables["OTEL_TRACES_SAMPLER_ARG"]) == (
        "parentbased_traceidratio",
        "0.25",
    )


def test_the_task_may_write_traces_only_where_it_is_traced() -> None:
    def writes(**changes: object) -> bool:
        found = [s["Action"] for s in statements(templates("cs3", **changes)["gateway"], "TaskRole")]
        return any("xray:PutTraceSegments" in actions for actions in found)

    assert writes(**_XRAY)
    assert not writes()
