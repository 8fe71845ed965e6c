"""Read what workers published to CloudWatch, which needs no way into the VPC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from runtime.handoff import metrics
from runtime.handoff.metrics import Metric
from tandem.doctor.aws import Aws
from tandem.doctor.result import UndeterminedError
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages

MINUTES = 15
"""How far back the doctor looks; workers publish every minute."""


def over_stages(deployment: Deployment, aws: Aws, metric: Metric) -> dict[str, float]:
    """Return a metric's own statistic over the last quarter of an hour by stage, of each stage that published it."""
    until = datetime.now(UTC)
    found = {}
    for stage, _ in stages(deployment):
        points = aws.client("cloudwatch").get_metric_statistics(
            Namespace=metrics.NAMESPACE,
            MetricName=metric.name,
            Dimensions=list(_dimensions(deployment, stage)),
            StartTime=until - timedelta(minutes=MINUTES),
            EndTime=until,
            Period=MINUTES * 60,
            Statistics=[metric.statistic],
        )["Datapoints"]
        values = [point[metric.statistic] for point in points]
        if values:
            found[stage] = _together(metric.statistic, values)
    return found


def nothing_published(metric: Metric) -> UndeterminedError:
    """Return why nobody can tell."""
    return UndeterminedError(
        f"no worker published {metric.name} in the last {MINUTES} minutes", "see what check services says"
    )


def _dimensions(deployment: Deployment, stage: str) -> Iterator[dict[str, str]]:
    yield {"Name": metrics.DEPLOYMENT, "Value": deployment.name}
    yield {"Name": metrics.STAGE, "Value": stage}


def _together(statistic: str, values: list[float]) -> float:
    """Sum up periods: a quarter of an hour may touch two."""
    match statistic:
        case "Minimum":
            return min(values)
        case "Maximum":
            return max(values)
        case _:
            return sum(values)
