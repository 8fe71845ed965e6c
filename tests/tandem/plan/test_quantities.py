"""What is charged for is counted in the templates."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.plan.prices import price_table
from tandem.plan.quantities import Quantity, quantities
from tests.templates import templates

FREE = price_table().without_standing_charge


def _count(**resources: dict[str, Any]) -> dict[str, float | None]:
    """Count resources given as ``Name={"Type": ..., property: ...}``."""
    bodies = {
        name: {"Type": body["Type"], "Properties": {k: v for k, v in body.items() if k != "Type"}}
        for name, body in resources.items()
    }
    return {each.item: each.count for each in quantities([{"Resources": bodies}], FREE)}


def _deployment(provider: str, **changes: object) -> dict[str, Quantity]:
    return {each.item: each for each in quantities(templates(provider, **changes).values(), FREE)}


def test_every_host_of_every_group_and_its_volume() -> None:
    one, three = _deployment("cs3"), _deployment("cs3", prefill__groups__0__count=3)
    assert (one["trn2.48xlarge"].count, three["trn2.48xlarge"].count) == (1, 3)
    assert (one["gp3 volume"].count, three["gp3 volume"].count) == (500, 1500)


def test_hosts_of_both_stages_add_up() -> None:
    assert _deployment("vllm")["trn2.48xlarge"].count == 2


def test_no_workers_no_hosts() -> None:
    assert not {"trn2.48xlarge", "gp3 volume"} & _deployment("openai").keys()


def test_what_a_small_deployment_asks_for() -> None:
    found = {item: quantity.count for item, quantity in _deployment("cs3").items()}
    assert found["NAT gateway"] == found["application load balancer"] == found["hosted zone"] == 1
    assert found["interface endpoint in a zone"] == 18  # nine services in two zones
    assert (found["Fargate vCPU"], found["Fargate memory"]) == (2, 4)
    assert {item for item, count in found.items() if count is None} == {
        "NAT gateway data",
        "audit events",
        "interface endpoint data",
        "load balancer capacity",
        "log ingestion",
    }


def test_a_larger_gateway() -> None:
    small = {"gateway__cpu": 512, "gateway__memory_mib": 1024}
    fixed = _deployment("cs3", gateway__min_count=3, gateway__max_count=3, **small)
    assert fixed["Fargate vCPU"] == Quantity("Fargate vCPU", 1.5)
    scaled = _deployment("cs3", gateway__min_count=3, gateway__max_count=5, **small)
    assert scaled["Fargate vCPU"] == Quantity("Fargate vCPU", 1.5, most=2.5)
    assert scaled["Fargate memory"] == Quantity("Fargate memory", 3, most=5)


@pytest.mark.parametrize(
    ("market", "item"),
    [
        ({}, "trn2.48xlarge"),
        ({"InstanceMarketOptions": {"MarketType": "capacity-block"}}, "trn2.48xlarge capacity block"),
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, "trn2.48xlarge spot"),
    ],
)
@pytest.mark.parametrize("mixed", [False, True])
def test_how_hosts_are_bought(market: dict[str, Any], item: str, mixed: bool) -> None:
    reference = {"LaunchTemplateId": {"Ref": "Template"}, "Version": "1"}
    launch = {"MixedInstancesPolicy": {"LaunchTemplate": {"LaunchTemplateSpecification": reference}}}
    group = {"Type": "AWS::AutoScaling::AutoScalingGroup", "MinSize": "0", "MaxSize": "4", "DesiredCapacity": "2"}
    data = {"InstanceType": "trn2.48xlarge", **market}
    found = _count(
        Template={"Type": "AWS::EC2::LaunchTemplate", "LaunchTemplateData": data},
        Group={**group, **(launch if mixed else {"LaunchTemplate": reference})},
    )
    assert found == {item: 2}


def test_a_group_without_a_template_of_its_own_is_of_unknown_type() -> None:
    group = {"Type": "AWS::AutoScaling::AutoScalingGroup", "MinSize": "2", "MaxSize": "2"}
    assert _count(Group={**group, "LaunchTemplate": {"LaunchTemplateId": "lt-1"}}) == {"instance of unknown type": 2}


def test_a_group_that_may_grow_says_to_what() -> None:
    group = {"instance_type": "trn2.48xlarge", "count": 2, "tensor_parallel": 64}
    found = _deployment("cs3", prefill__groups=[{**group, "name": "own", "max_count": 7}, {**group, "name": "other"}])
    assert found["trn2.48xlarge"] == Quantity("trn2.48xlarge", 4, most=9)
    assert found["gp3 volume"] == Quantity("gp3 volume", 2000, most=4500)


def test_an_alarm_counts_its_metrics() -> None:
    stat = {"Id": "a", "MetricStat": {}}
    found = _count(
        One={"Type": "AWS::CloudWatch::Alarm", "MetricName": "Up"},
        Two={"Type": "AWS::CloudWatch::Alarm", "Metrics": [stat, stat, {"Id": "e", "Expression": "a/b"}]},
    )
    assert found == {"alarm metric": 3}


def test_what_costs_nothing_while_it_stands_is_left_out() -> None:
    gateway = {"Type": "AWS::EC2::VPCEndpoint", "VpcEndpointType": "Gateway"}
    tasks = {"Type": "AWS::ECS::Service", "LaunchType": "EC2", "TaskDefinition": {"Ref": "Task"}}
    assert (
        _count(S3=gateway, Workers=tasks, Group={"Type": "AWS::EC2::SecurityGroup"}, Ours={"Type": "Custom::X"}) == {}
    )


def test_a_type_that_nobody_thought_of_is_shown() -> None:
    assert _count(Acl={"Type": "AWS::WAFv2::WebACL"}) == {"AWS::WAFv2::WebACL": 1}
