"""What scales a service is registered and keeps its count within bounds; a group's policies are kept as deployed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.tandem.rehearsal.cloud.conftest import Deployer


def _service(command: str = "one", least: int = 3, most: int = 5) -> dict[str, Any]:
    container = {"Name": "c", "Image": "i", "Memory": 128, "Command": [command], "Essential": True}
    target = {
        "MinCapacity": least,
        "MaxCapacity": most,
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": {"Fn::Sub": "service/${Cluster}/${Service.Name}"},
    }
    service = {"Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Task"}}
    return {
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [container]}},
        "Service": {"Type": "AWS::ECS::Service", "Properties": service},
        "Target": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": target},
    }


@pytest.fixture
def deployed(deployer: Deployer) -> Iterator[dict[str, str]]:
    yield deployer.round_trip("scaled", _service())
    assert deployer.delete("scaled") == "DELETE_COMPLETE"


def _count(deployer: Deployer, ids: dict[str, str]) -> int:
    found = deployer.client("ecs").describe_services(cluster=ids["Cluster"], services=[ids["Service"]])
    return int(found["services"][0]["desiredCount"])


def test_a_service_without_a_count_is_brought_within_the_bounds(deployer: Deployer, deployed: dict[str, str]) -> None:
    assert _count(deployer, deployed) == 3
    deployer.update("scaled", _service(least=4, most=5))
    assert _count(deployer, deployed) == 4
    deployer.update("scaled", _service(least=1, most=2))
    assert _count(deployer, deployed) == 2


def test_a_new_revision_leaves_the_count_alone(deployer: Deployer, deployed: dict[str, str]) -> None:
    deployer.client("ecs").update_service(cluster=deployed["Cluster"], service=deployed["Service"], desiredCount=5)
    deployer.update("scaled", _service("two"))
    assert _count(deployer, deployed) == 5


def _group() -> dict[str, Any]:
    data = {"ImageId": "ami-1", "InstanceType": "m5.large"}
    launch = {"LaunchTemplateId": {"Ref": "Template"}, "Version": "1"}
    hosts = {"MinSize": "0", "MaxSize": "2", "DesiredCapacity": "1", "AvailabilityZones": ["us-east-2a"]}
    metric = {"Namespace": "Tandem", "MetricName": "QueuedPromptTokens"}
    queries = [
        {"Id": "queued", "MetricStat": {"Metric": metric, "Stat": "Sum"}, "ReturnData": False},
        {"Id": "load", "Expression": "queued / 60", "Label": "load", "ReturnData": True},
    ]
    tracking = {
        "TargetValue": 100,
        "DisableScaleIn": True,
        "CustomizedMetricSpecification": {"Metrics": queries},
    }
    policy = {"AutoScalingGroupName": {"Ref": "Hosts"}, "PolicyType": "TargetTrackingScaling"}
    return {
        "Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}},
        "Hosts": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {**hosts, "LaunchTemplate": launch},
        },
        "Out": {
            "Type": "AWS::AutoScaling::ScalingPolicy",
            "Properties": {**policy, "EstimatedInstanceWarmup": 0, "TargetTrackingConfiguration": tracking},
        },
    }


def test_a_group_s_policy_keeps_its_metric_math(deployer: Deployer) -> None:
    ids = deployer.round_trip("group", _group())
    found = deployer.client("autoscaling").describe_policies(AutoScalingGroupName=ids["Hosts"])["ScalingPolicies"]
    [policy] = [each for each in found if each["PolicyARN"] == ids["Out"]]
    metrics = policy["TargetTrackingConfiguration"]["CustomizedMetricSpecification"]["Metrics"]
    assert [each.get("Expression") for each in metrics] == [None, "queued / 60"]
    assert deployer.delete("group") == "DELETE_COMPLETE"


def test_a_property_that_a_policy_has_not_is_refused(deployer: Deployer) -> None:
    resources = _group()
    metrics = resources["Out"]["Properties"]["TargetTrackingConfiguration"]["CustomizedMetricSpecification"]["Metrics"]
    metrics[1]["Formula"] = metrics[1].pop("Expression")
    stack = deployer.create("wrong", resources)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = deployer.cloudformation.describe_stack_events(StackName="wrong")["StackEvents"]
    assert any("unknown property" in event.get("ResourceStatusReason", "") for event in events)
