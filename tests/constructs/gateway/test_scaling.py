"""The gateway is scaled on the streams of a task, between the bounds of the file."""

from __future__ import annotations

from runtime.handoff import metrics
from tests.templates import only, resources, templates

_TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
_POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


def test_tasks_follow_streams_between_the_bounds() -> None:
    gateway = templates(gateway__min_count=3, gateway__max_count=7, gateway__streams_per_task=20)["gateway"]
    target = only(gateway, _TARGET)
    assert (target["MinCapacity"], target["MaxCapacity"]) == (3, 7)
    policy = only(gateway, _POLICY)["TargetTrackingScalingPolicyConfiguration"]
    metric = policy["CustomizedMetricSpecification"]
    assert policy["TargetValue"] == 20
    assert (metric["Namespace"], metric["MetricName"]) == (metrics.NAMESPACE, metrics.ACTIVE_STREAMS.name)
    assert metric["Dimensions"] == [{"Name": metrics.DEPLOYMENT, "Value": "small"}]
    # every task publishes once a minute: their average is one task's, whatever their number
    assert metric["Statistic"] == "Average"


def test_a_deployment_leaves_the_count_alone_that_scaling_has_set() -> None:
    assert "DesiredCount" not in only(templates()["gateway"], "AWS::ECS::Service")


def test_equal_bounds_keep_the_size_fixed() -> None:
    gateway = templates(gateway__min_count=4, gateway__max_count=4)["gateway"]
    assert only(gateway, "AWS::ECS::Service")["DesiredCount"] == 4
    assert not resources(gateway, _TARGET)
    assert not resources(gateway, _POLICY)


def test_a_task_that_goes_is_given_time_to_finish() -> None:
    gateway = templates()["gateway"]
    [container] = only(gateway, "AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    attributes = only(gateway, "AWS::ElasticLoadBalancingV2::TargetGroup")["TargetGroupAttributes"]
    [delay] = [one["Value"] for one in attributes if one["Key"] == "deregistration_delay.timeout_seconds"]
    assert container["StopTimeout"] >= 60
    assert int(delay) >= 60
