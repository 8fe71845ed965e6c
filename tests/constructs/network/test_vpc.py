"""The VPC: load balancer subnets by zone, one EFA subnet, private ways to AWS APIs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.templates import only, resources, stack, templates


@pytest.fixture
def network() -> dict[str, Any]:
    return templates()["network"]


def test_subnets_lie_in_the_named_zones_and_none_gives_public_addresses(network: dict[str, Any]) -> None:
    subnets = resources(network, "AWS::EC2::Subnet")
    zones = sorted((subnet["AvailabilityZone"], subnet["CidrBlock"]) for subnet in subnets.values())
    assert zones == [
        ("us-east-2a", "10.40.0.0/24"),
        ("us-east-2a", "10.40.2.0/24"),
        ("us-east-2b", "10.40.1.0/24"),
        ("us-east-2b", "10.40.128.0/17"),
        ("us-east-2b", "10.40.3.0/24"),
    ]
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets.values())


def test_the_smallest_range_with_three_zones_still_fits() -> None:
    zones = ["us-east-2a", "us-east-2b", "us-east-2c"]
    network = templates(network__cidr="10.0.16.0/20", network__load_balancer_zones=zones)["network"]
    blocks = sorted(subnet["CidrBlock"] for subnet in resources(network, "AWS::EC2::Subnet").values())
    assert blocks == [*(f"10.0.{16 + i}.0/24" for i in range(6)), "10.0.24.0/21"]


def test_the_efa_zone_need_not_have_a_load_balancer() -> None:
    network = templates(network__efa_zone="us-east-2c")["network"]
    subnets = resources(network, "AWS::EC2::Subnet")
    assert [s["CidrBlock"] for s in subnets.values() if s["AvailabilityZone"] == "us-east-2c"] == ["10.40.128.0/17"]


def test_one_cluster_placement_group_serves_the_deployment(network: dict[str, Any]) -> None:
    assert only(network, "AWS::EC2::PlacementGroup")["Strategy"] == "cluster"


def test_workers_leave_by_nat_only(network: dict[str, Any]) -> None:
    routes = resources(network, "AWS::EC2::Route")
    [efa] = [body for key, body in routes.items() if "EfaSubnet" in key]
    [nat] = resources(network, "AWS::EC2::NatGateway")
    assert efa["NatGatewayId"] == {"Ref": nat}
    assert efa["DestinationCidrBlock"] == "0.0.0.0/0"


def test_weights_take_the_gateway_endpoint_also_from_the_efa_subnet(network: dict[str, Any]) -> None:
    [s3] = [e for e in resources(network, "AWS::EC2::VPCEndpoint").values() if e["VpcEndpointType"] == "Gateway"]
    tables = [reference["Ref"] for reference in s3["RouteTableIds"]]
    assert len(tables) == 3
    assert any("EfaSubnet" in table for table in tables)


@pytest.mark.parametrize("service", ["ecr.api", "ecr.dkr", "secretsmanager", "logs"])
def test_aws_apis_are_private_and_open_to_the_vpc_alone(service: str) -> None:
    network = stack("network")
    network.has_resource_properties(
        "AWS::EC2::VPCEndpoint", {"ServiceName": f"com.amazonaws.us-east-2.{service}", "PrivateDnsEnabled": True}
    )
    [group] = network.find_resources("AWS::EC2::SecurityGroup").values()
    [rule] = group["Properties"]["SecurityGroupIngress"]
    assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("10.40.0.0/16", 443, 443)


def test_flows_are_logged_and_the_default_group_is_closed(network: dict[str, Any]) -> None:
    assert only(network, "AWS::EC2::FlowLog")["TrafficType"] == "ALL"
    assert only(network, "AWS::Logs::LogGroup")["RetentionInDays"] == 30
    assert resources(network, "Custom::VpcRestrictDefaultSG")
