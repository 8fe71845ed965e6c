"""Scale the gateway on the requests that its tasks have under way."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs

from constructs.observability.published import published
from runtime.handoff import metrics
from tandem.spec.gateway import Gateway

_SCALE_IN_PAUSE = Duration.minutes(5)
"""Longer than a task that goes drains, so that each step is seen before the next."""


def follow_streams(service: ecs.FargateService, gateway: Gateway, deployment: str) -> None:
    """Keep the streams of a task near ``gateway.streams_per_task``, the tasks within the gateway's bounds.

    Every task publishes one value a minute, so their average is the streams of one task. Without that metric nothing is
    scaled. A task that goes takes no new requests and ends those it has, as at a deployment.
    """
    count = service.auto_scale_task_count(min_capacity=gateway.min_count, max_capacity=gateway.max_count)
    count.scale_to_track_custom_metric(
        "Streams",
        metric=published(metrics.ACTIVE_STREAMS, deployment, statistic="Average"),
        target_value=gateway.streams_per_task,
        scale_in_cooldown=_SCALE_IN_PAUSE,
        scale_out_cooldown=Duration.minutes(1),
    )
