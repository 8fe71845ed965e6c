"""Check whether the deployment's address range is in use already."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, passed
from tandem.spec.deployment import Deployment

_STACK = "aws:cloudformation:stack-name"


def check(deployment: Deployment, aws: Aws) -> Result:
    """Name other VPCs of the region whose ranges overlap: no obstacle to a deploy, but to peering later."""
    wanted = IPv4Network(deployment.network.cidr)
    own = f"{deployment.name}-network"
    vpcs = [vpc for page in aws.client("ec2").get_paginator("describe_vpcs").paginate() for vpc in page["Vpcs"]]
    overlapping = [
        f"{vpc['VpcId']} ({vpc['CidrBlock']})"
        for vpc in vpcs
        if _tags(vpc).get(_STACK) != own and any(wanted.overlaps(taken) for taken in _ranges(vpc))
    ]
    if overlapping:
        return passed(f"note: {wanted} overlaps {', '.join(overlapping)}, which can then not be peered")
    return passed(f"{wanted} overlaps no VPC of {deployment.region}")


def _tags(vpc: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in vpc.get("Tags", [])}


def _ranges(vpc: dict[str, Any]) -> list[IPv4Network]:
    return [IPv4Network(one["CidrBlock"]) for one in vpc.get("CidrBlockAssociationSet", [])]
