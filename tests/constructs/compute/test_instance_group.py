"""Trainium hosts: image, disk, metadata, placement, subnet, and how ECS uses them."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk.assertions import Capture, Match

from tests.templates import only, resources, script, stack, statements, templates

_SSM = "/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id"


@pytest.fixture
def data() -> dict[str, Any]:
    found: dict[str, Any] = only(templates()["prefill"], "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    return found


def test_hosts_run_the_neuron_image_that_aws_recommends(data: dict[str, Any]) -> None:
    parameter = templates()["prefill"]["Parameters"][data["ImageId"]["Ref"]]
    assert parameter == {"Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "Default": _SSM}


def test_hosts_answer_imdsv2_to_themselves_alone(data: dict[str, Any]) -> None:
    assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}


def test_the_root_volume_is_encrypted_and_holds_a_large_model(data: dict[str, Any]) -> None:
    [device] = data["BlockDeviceMappings"]
    assert device["DeviceName"] == "/dev/xvda"
    volume = dict(device["Ebs"])
    assert volume.pop("KmsKeyId")["Fn::ImportValue"].startswith("small-storage:ExportsOutputFnGetAttKey")
    assert volume == {"VolumeType": "gp3", "VolumeSize": 500, "Encrypted": True, "DeleteOnTermination": True}


def test_hosts_join_the_cluster(data: dict[str, Any]) -> None:
    [cluster] = resources(templates()["prefill"], "AWS::ECS::Cluster")
    assert {"Ref": cluster} in data["UserData"]["Fn::Base64"]["Fn::Join"][1]


@pytest.mark.parametrize("kind", ["prefill", "decode"])
def test_prefill_and_decode_share_placement_group_and_subnet(kind: str) -> None:
    # EFA between the two needs one subnet and placement group (vllm-neuron, disaggregated inference)
    group, subnet = Capture(), Capture()
    template = stack(kind, "vllm")
    template.has_resource_properties(
        "AWS::EC2::LaunchTemplate", {"LaunchTemplateData": {"Placement": {"GroupName": {"Fn::ImportValue": group}}}}
    )
    template.has_resource_properties(
        "AWS::AutoScaling::AutoScalingGroup", {"VPCZoneIdentifier": [{"Fn::ImportValue": subnet}]}
    )
    [network] = resources(templates("vllm")["network"], "AWS::EC2::PlacementGroup")
    assert f"ExportsOutputRef{network}" in group.as_string()
    assert "EfaSubnet" in subnet.as_string()


def test_the_group_wants_a_size_that_no_deployment_waits_for_and_its_hosts_can_be_deleted() -> None:
    prefill = stack("prefill", prefill__groups__0__count=3)
    prefill.has_resource_properties(
        "AWS::AutoScaling::AutoScalingGroup",
        {"MinSize": "0", "DesiredCapacity": "3", "MaxSize": "3", "NewInstancesProtectedFromScaleIn": Match.absent()},
    )
    prefill.has_resource_properties(
        "AWS::ECS::CapacityProvider",
        {
            "AutoScalingGroupProvider": {
                "ManagedTerminationProtection": "DISABLED",  # else the stack cannot be deleted
                "ManagedDraining": "ENABLED",
                "ManagedScaling": Match.absent(),
            }
        },
    )


def test_an_update_leaves_the_size_alone_that_a_schedule_or_an_alarm_has_set() -> None:
    stack("prefill").has_resource(
        "AWS::AutoScaling::AutoScalingGroup",
        {"UpdatePolicy": {"AutoScalingScheduledAction": {"IgnoreUnmodifiedGroupSizeProperties": True}}},
    )


def test_ecs_knows_the_hosts_by_their_group(data: dict[str, Any]) -> None:
    assert """echo 'ECS_INSTANCE_ATTRIBUTES={"tandem.group": "trn2"}' >> /etc/ecs/ecs.config""" in script(data)


def test_what_replaces_a_host_drains_it_first_and_no_update_replaces_one_by_itself() -> None:
    prefill = templates()["prefill"]
    [group] = [body for body in prefill["Resources"].values() if body["Type"] == "AWS::AutoScaling::AutoScalingGroup"]
    assert set(group["UpdatePolicy"]) == {"AutoScalingScheduledAction"}
    # EC2's own status checks are the default, and replace a host that fails them
    assert not {"HealthCheckType", "LifecycleHookSpecificationList"} & set(group["Properties"])
    assert only(prefill, "AWS::ECS::CapacityProvider")["AutoScalingGroupProvider"]["ManagedDraining"] == "ENABLED"


def test_no_function_drains_hosts_beside_ecs() -> None:
    functions = resources(templates()["prefill"], "AWS::Lambda::Function").values()
    assert [function["Handler"] for function in functions] == ["runtime.functions.rotation.handler"]


def test_two_groups_have_a_capacity_provider_and_launch_template_each() -> None:
    group = {"name": "trn1", "instance_type": "trn1.32xlarge", "count": 1, "tensor_parallel": 32}
    prefill = templates(prefill__groups=[{**group, "name": "first"}, {**group, "name": "second"}])["prefill"]
    providers = resources(prefill, "AWS::ECS::CapacityProvider")
    association = only(prefill, "AWS::ECS::ClusterCapacityProviderAssociations")
    assert sorted(ref["Ref"] for ref in association["CapacityProviders"]) == sorted(providers)
    assert len(providers) == len(resources(prefill, "AWS::EC2::LaunchTemplate")) == 2


def test_the_host_role_may_only_be_an_ecs_host() -> None:
    found = list(statements(templates()["prefill"], "HostRole"))
    actions = {a for s in found for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    assert {action.split(":")[0] for action in actions} == {"ecs", "ecr", "logs"}
