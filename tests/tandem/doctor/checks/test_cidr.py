"""An address range in use is a note, never a failure; the deployment's own VPC is none."""

from __future__ import annotations

import pytest

from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, client, judge


def make(cidr: str, stack: str) -> str:
    """Make a VPC as a stack does; a client may not set CloudFormation's own tags in AWS, but in moto."""
    tags = [{"Key": "aws:cloudformation:stack-name", "Value": stack}]
    vpc = client("ec2").create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    client("ec2").create_tags(Resources=[vpc], Tags=tags)
    return str(vpc)


def test_a_free_range_passes_without_a_note() -> None:
    result = judge("cidr", deployment())
    assert (result.verdict, result.found) == (Verdict.PASS, "10.40.0.0/16 overlaps no VPC of us-east-2")


@pytest.mark.parametrize("cidr", ["10.40.0.0/16", "10.40.128.0/20"])
def test_an_overlap_is_a_note(cidr: str) -> None:
    vpc = client("ec2").create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    result = judge("cidr", deployment())
    assert result.verdict is Verdict.PASS
    assert result.found == f"note: 10.40.0.0/16 overlaps {vpc} ({cidr}), which can then not be peered"


def test_a_second_range_of_a_vpc_counts() -> None:
    vpc = client("ec2").create_vpc(CidrBlock="10.90.0.0/16")["Vpc"]["VpcId"]
    client("ec2").associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.40.0.0/16")
    assert vpc in judge("cidr", deployment()).found


def test_the_deployments_own_vpc_is_no_overlap() -> None:
    block = {"CidrBlock": "10.40.0.0/16"}
    own = {"Key": "aws:cloudformation:stack-name", "Value": "small-network"}
    vpc = {"VpcId": "vpc-1", **block, "CidrBlockAssociationSet": [block], "Tags": [own]}
    ec2 = answering("ec2", ("describe_vpcs", {"Vpcs": [vpc]}))
    assert judge("cidr", deployment(), ec2=ec2).found == "10.40.0.0/16 overlaps no VPC of us-east-2"
