"""EFA interfaces and the security group that lets them talk."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest
from aws_cdk.assertions import Match

from constructs.network.efa import efa_interfaces
from tandem.rehearsal.cloud.launch_template import refusals
from tandem.spec.instances import INSTANCE_TYPES, InstanceType
from tests.templates import only, resources, stack, templates

_WITH_EFA = [kind for kind in INSTANCE_TYPES.values() if kind.efa_interfaces]


# network card, device and type of every interface, as AWS publishes them for these types: the Neuron documentation and
# templates for the one layout, the EC2 user guide for the other
PUBLISHED = {
    "efa": {
        "trn1.32xlarge": [(0, 0, "efa"), *((card, 1, "efa") for card in range(1, 8))],
        "trn1n.32xlarge": [(0, 0, "efa"), *((card, 1, "efa") for card in range(1, 16))],
        "trn2.3xlarge": [(0, 0, "efa")],
        "trn2.48xlarge": [(0, 0, "efa"), *((card, 1, "efa") for card in range(1, 16))],
        "trn2u.48xlarge": [(0, 0, "efa"), *((card, 1, "efa") for card in range(1, 16))],
    },
    "ena-plus-efa-only": {
        "trn1.32xlarge": [(0, 0, "interface"), (0, 1, "efa-only"), *((card, 0, "efa-only") for card in range(1, 8))],
        "trn1n.32xlarge": [(0, 0, "interface"), (0, 1, "efa-only"), *((card, 0, "efa-only") for card in range(1, 16))],
        "trn2.3xlarge": [(0, 0, "interface"), (0, 1, "efa-only")],
        "trn2.48xlarge": [(0, 0, "interface"), (0, 1, "efa-only"), *((card, 0, "efa-only") for card in range(1, 16))],
        "trn2u.48xlarge": [(0, 0, "interface"), (0, 1, "efa-only"), *((card, 0, "efa-only") for card in range(1, 16))],
    },
}
_TRN2 = INSTANCE_TYPES["trn2.48xlarge"]


def _places(interfaces: list[dict[str, Any]]) -> list[tuple[int, int, str]]:
    return [(each["NetworkCardIndex"], each["DeviceIndex"], each["InterfaceType"]) for each in interfaces]


def test_the_published_tables_cover_every_type_with_efa() -> None:
    assert all(list(table) == [kind.name for kind in _WITH_EFA] for table in PUBLISHED.values())


@pytest.mark.parametrize("kind", _WITH_EFA, ids=lambda kind: kind.name)
@pytest.mark.parametrize("layout", ["efa", "ena-plus-efa-only"])
def test_interfaces_stand_where_aws_publishes_them(
    kind: InstanceType, layout: Literal["efa", "ena-plus-efa-only"]
) -> None:
    found = efa_interfaces(kind, kind.efa_interfaces, layout=layout, security_group_id="sg-1")
    assert _places(found) == PUBLISHED[layout][kind.name]
    assert all(each["Groups"] == ["sg-1"] and each["DeleteOnTermination"] for each in found)
    assert refusals({"NetworkInterfaces": found}, set()) == []


def test_a_card_that_carries_one_interface_has_it_at_device_0() -> None:
    narrow = dataclasses.replace(_TRN2, interfaces_per_card=1)
    found = efa_interfaces(narrow, 2, layout="efa", security_group_id="sg-1")
    assert _places(found) == [(0, 0, "efa"), (1, 0, "efa")]


@pytest.mark.parametrize("layout", ["efa", "ena-plus-efa-only"])
def test_a_launch_template_has_the_files_layout(layout: str) -> None:
    prefill = templates(prefill__groups__0__efa_layout=layout)["prefill"]
    [group] = resources(prefill, "AWS::EC2::SecurityGroup")
    data = only(prefill, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert data["InstanceType"] == _TRN2.name
    assert _places(data["NetworkInterfaces"]) == PUBLISHED[layout][_TRN2.name]
    assert {str(each["Groups"]) for each in data["NetworkInterfaces"]} == {str([{"Fn::GetAtt": [group, "GroupId"]}])}
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
