"""Nothing of any example or registrar has a public address, an open group or an old metadata service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.assemblies import templates

_ANYWHERE = {"0.0.0.0/0", "::/0"}


@pytest.fixture(scope="module")
def found(assemblies: dict[str, Path]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return type, name and properties of every resource."""
    return [
        (body["Type"], f"{path} {name}", body.get("Properties", {}))
        for path, template in templates(assemblies)
        for name, body in template["Resources"].items()
    ]


def _of(found: list[tuple[str, str, dict[str, Any]]], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    every = [(name, properties) for each, name, properties in found if each == kind]
    assert every, f"no {kind} in any template"
    yield from every


def test_hosts_have_no_public_address_and_only_the_new_metadata_service(
    found: list[tuple[str, str, dict[str, Any]]],
) -> None:
    for name, properties in _of(found, "AWS::EC2::LaunchTemplate"):
        data = properties["LaunchTemplateData"]
        assert not any(each.get("AssociatePublicIpAddress") for each in data["NetworkInterfaces"]), name
        options = data["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1), name


def test_subnets_give_no_public_address(found: list[tuple[str, str, dict[str, Any]]]) -> None:
    assert [name for name, each in _of(found, "AWS::EC2::Subnet") if each["MapPublicIpOnLaunch"]] == []


def test_addresses_belong_to_nat_gateways_alone(found: list[tuple[str, str, dict[str, Any]]]) -> None:
    addresses = {name for name, _ in _of(found, "AWS::EC2::EIP")}
    gateways = {f"{name.split()[0]} {each['AllocationId']['Fn::GetAtt'][0]}" for name, each in _nat(found)}
    assert addresses == gateways


def _nat(found: list[tuple[str, str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    return _of(found, "AWS::EC2::NatGateway")


def test_tasks_have_no_public_address_and_no_shell(found: list[tuple[str, str, dict[str, Any]]]) -> None:
    for name, service in _of(found, "AWS::ECS::Service"):
        network = service.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
        assert network.get("AssignPublicIp", "DISABLED") == "DISABLED", name
        assert not service.get("EnableExecuteCommand"), name


def test_load_balancers_are_internal_and_log(found: list[tuple[str, str, dict[str, Any]]]) -> None:
    for name, balancer in _of(found, "AWS::ElasticLoadBalancingV2::LoadBalancer"):
        attributes = {each["Key"]: each["Value"] for each in balancer["LoadBalancerAttributes"]}
        assert (balancer["Scheme"], attributes["access_logs.s3.enabled"]) == ("internal", "true"), name


def test_nobody_comes_in_from_anywhere(found: list[tuple[str, str, dict[str, Any]]]) -> None:
    for name, group in _of(found, "AWS::EC2::SecurityGroup"):
        assert not [rule for rule in group.get("SecurityGroupIngress", []) if rule.get("CidrIp") in _ANYWHERE], name
    for name, rule in _of(found, "AWS::EC2::SecurityGroupIngress"):
        assert rule.get("CidrIp") not in _ANYWHERE, name


def test_outside_the_vpc_only_https_or_the_endpoints_port_is_reached(
    found: list[tuple[str, str, dict[str, Any]]],
) -> None:
    for name, group in _of(found, "AWS::EC2::SecurityGroup"):
        outward = [rule for rule in group.get("SecurityGroupEgress", []) if rule.get("CidrIp") in _ANYWHERE]
        assert {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in outward} <= {("tcp", 443, 443)}, name


def test_the_default_group_of_every_vpc_is_closed(found: list[tuple[str, str, dict[str, Any]]]) -> None:
    closed = {name.split()[0] for name, _ in _of(found, "Custom::VpcRestrictDefaultSG")}
    assert closed == {name.split()[0] for name, _ in _of(found, "AWS::EC2::VPC")}
