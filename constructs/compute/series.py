"""Write a calculation over CloudWatch metrics once, for a scaling policy, an alarm and a graph alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

_PERIOD = Duration.minutes(1)


@dataclass(frozen=True, eq=False)
class Measured:
    """Name a metric, one value a minute by ``statistic``."""

    id: str
    namespace: str
    name: str
    dimensions: dict[str, str]
    statistic: str


@dataclass(frozen=True, eq=False)
class Computed:
    """Name the result of a metric math ``expression`` over ``inputs``, which it calls by their ids."""

    id: str
    expression: str
    inputs: tuple[Series, ...]
    label: str


Series = Measured | Computed


def tracking_queries(result: Series) -> list[dict[str, Any]]:
    """Return ``result`` and all that it needs as a target tracking policy's metric data queries."""
    return [_query(series) | {"returnData": series is result} for series in _in_order(result)]


def _in_order(result: Series) -> Iterator[Series]:
    """Yield what ``result`` needs before itself, each once."""
    seen: dict[str, Series] = {}

    def visit(series: Series) -> Iterator[Series]:
        if series.id not in seen:
            seen[series.id] = series
            for each in series.inputs if isinstance(series, Computed) else ():
                yield from visit(each)
            yield series

    yield from visit(result)


def _query(series: Series) -> dict[str, Any]:
    if isinstance(series, Computed):
        return {"id": series.id, "expression": series.expression, "label": series.label}
    dimensions = [{"name": name, "value": value} for name, value in series.dimensions.items()]
    metric = {"namespace": series.namespace, "metricName": series.name, "dimensions": dimensions}
    return {"id": series.id, "metricStat": {"metric": metric, "stat": series.statistic}}


def graph(result: Computed) -> cloudwatch.MathExpression:
    """Return ``result`` as what alarms and dashboards take."""
    return cloudwatch.MathExpression(
        expression=result.expression,
        using_metrics={each.id: graph(each) if isinstance(each, Computed) else _metric(each) for each in result.inputs},
        label=result.label,
        period=_PERIOD,
    )


def _metric(series: Measured) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=series.namespace,
        metric_name=series.name,
        dimensions_map=series.dimensions,
        statistic=series.statistic,
        period=_PERIOD,
    )
