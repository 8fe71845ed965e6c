"""EFA interfaces and the security group that lets them talk."""

from __future__ import annotations

import pytest
from aws_cdk.assertions import Match

from tandem.spec.instances import INSTANCE_TYPES, InstanceType
from tests.templates import only, resources, stack, templates

_WITH_EFA = [kind for kind in INSTANCE_TYPES.values() if kind.efa_interfaces]


@pytest.mark.parametrize("kind", _WITH_EFA, ids=lambda kind: kind.name)
def test_every_card_has_one_efa_interface_with_the_group(kind: InstanceType) -> None:
    prefill = templates(
        prefill__groups__0__instance_type=kind.name, prefill__groups__0__tensor_parallel=kind.logical_cores
    )["prefill"]
    [group] = resources(prefill, "AWS::EC2::SecurityGroup")
    data = only(prefill, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert data["InstanceType"] == kind.name
    assert data["NetworkInterfaces"] == [
        {
            "NetworkCardIndex": card,
            "DeviceIndex": min(card, 1),
            "InterfaceType": "efa",
            "Groups": [{"Fn::GetAtt": [group, "GroupId"]}],
            "DeleteOnTermination": True,
        }
        for card in range(kind.network_cards)
    ]
    # EC2 refuses groups beside interfaces, and a public address where there is more than one
    assert "SecurityGroupIds" not in data


def test_a_file_may_ask_for_fewer_interfaces() -> None:
    prefill = templates(prefill__groups__0__efa_interfaces=4)["prefill"]
    data = only(prefill, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert [each["NetworkCardIndex"] for each in data["NetworkInterfaces"]] == [0, 1, 2, 3]


def test_all_traffic_flows_within_the_group_in_both_directions() -> None:
    prefill = stack("prefill")
    [group] = prefill.find_resources("AWS::EC2::SecurityGroup")
    itself = {"Fn::GetAtt": [group, "GroupId"]}
    prefill.has_resource_properties(
        "AWS::EC2::SecurityGroupIngress", {"GroupId": itself, "SourceSecurityGroupId": itself, "IpProtocol": "-1"}
    )
    prefill.has_resource_properties(
        "AWS::EC2::SecurityGroupEgress", {"GroupId": itself, "DestinationSecurityGroupId": itself, "IpProtocol": "-1"}
    )


def test_beyond_the_group_only_https_goes_out() -> None:
    group = only(templates("vllm")["prefill"], "AWS::EC2::SecurityGroup")
    [rule] = group["SecurityGroupEgress"]
    assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("0.0.0.0/0", 443, 443)
    assert "SecurityGroupIngress" not in group


def test_the_cs3_side_reaches_the_handshake_alone() -> None:
    stack("prefill").has_resource_properties(
        "AWS::EC2::SecurityGroup",
        {
            "SecurityGroupIngress": [
                {
                    "CidrIp": "10.80.0.0/16",
                    "IpProtocol": "tcp",
                    "FromPort": 5559,
                    "ToPort": 5559,
                    "Description": Match.any_value(),
                }
            ]
        },
    )
