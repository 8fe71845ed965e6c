"""Refer to the metrics that Tandem's programs publish."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from runtime.handoff import metrics


def published(
    metric: metrics.Metric,
    deployment: str,
    *,
    stage: str | None = None,
    statistic: str | None = None,
    period: Duration | None = None,
) -> cloudwatch.Metric:
    """Return ``metric`` of a deployment, of one stage's workers where ``stage`` is given, by its own statistic."""
    return cloudwatch.Metric(
        namespace=metrics.NAMESPACE,
        metric_name=metric.name,
        dimensions_map={metrics.DEPLOYMENT: deployment, **({metrics.STAGE: stage} if stage else {})},
        statistic=statistic or metric.statistic,
        period=period or Duration.seconds(metrics.PERIOD_SECONDS),
    )
