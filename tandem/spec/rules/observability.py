"""Check that alarms reach whom they are to reach."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding


def alarm_topic_in_region(deployment: Deployment) -> Iterator[Finding]:
    """Require a topic of the deployment's own region, the only one that its alarms can notify."""
    arn = deployment.observability.alarm_topic_arn
    if arn and arn.split(":")[3] != deployment.region:
        yield Finding(
            code="alarm-topic-elsewhere",
            path="observability.alarm_topic_arn",
            got=arn.split(":")[3],
            allowed=f"a topic in {deployment.region}",
            change="name a topic of this region",
        )
