"""What CloudFormation does to one resource, by AWS's own schemas."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.changes.consequence import Consequence, judge

REGION = "us-east-2"
_LAUNCH = {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "1"}}
_RELAUNCH = {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "2"}}


def resource(kind: str, properties: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    """Return a resource as a template has it."""
    return {"Type": kind, "Properties": properties or {}, **attributes}


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        ("AWS::EC2::VPC", {"CidrBlock": "10.0.0.0/16"}, {"CidrBlock": "10.1.0.0/16"}, Consequence.REPLACEMENT),
        ("AWS::EC2::VPC", {"EnableDnsSupport": True}, {"EnableDnsSupport": False}, Consequence.IN_PLACE),
        ("AWS::EC2::VPC", {"InstanceTenancy": "default"}, {"InstanceTenancy": "dedicated"}, Consequence.REPLACEMENT),
        ("AWS::ECS::TaskDefinition", {"Cpu": "256"}, {"Cpu": "512"}, Consequence.ROLLING),
        ("AWS::ECS::Service", {"TaskDefinition": "a:1"}, {"TaskDefinition": "a:2"}, Consequence.ROLLING),
        ("AWS::ECS::Service", {"DesiredCount": 1}, {"DesiredCount": 2}, Consequence.IN_PLACE),
        ("AWS::ECS::Service", {"SchedulingStrategy": "REPLICA"}, {}, Consequence.REPLACEMENT),
        (
            "AWS::EC2::LaunchTemplate",
            {"LaunchTemplateData": {}},
            {"LaunchTemplateData": {"ImageId": "ami-1"}},
            "rolling",
        ),
        ("AWS::AutoScaling::AutoScalingGroup", {"MaxSize": "1"}, {"MaxSize": "2"}, Consequence.IN_PLACE),
        ("AWS::AutoScaling::AutoScalingGroup", _LAUNCH, _RELAUNCH, Consequence.ROLLING),
        ("AWS::Lambda::Function", {"Timeout": 3}, {"Timeout": 4}, Consequence.ROLLING),
        ("AWS::Lambda::Function", {"FunctionName": "a"}, {"FunctionName": "b"}, Consequence.REPLACEMENT),
        ("AWS::S3::Bucket", {"BucketName": "a"}, {"BucketName": "b"}, Consequence.DATA_AT_RISK),
        ("AWS::S3::Bucket", {}, {"Tags": []}, Consequence.IN_PLACE),
        ("AWS::Logs::LogGroup", {"LogGroupName": "a"}, {"LogGroupName": "b"}, Consequence.DATA_AT_RISK),
        ("AWS::SecretsManager::Secret", {"Name": "a"}, {"Name": "b"}, Consequence.DATA_AT_RISK),
        ("Custom::Ours", {"A": 1}, {"A": 2}, Consequence.REPLACEMENT),
    ],
)
def test_a_changed_property(kind: str, old: dict[str, Any], new: dict[str, Any], expected: str) -> None:
    assert judge(resource(kind, old), resource(kind, new), REGION).consequence == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("Retain", Consequence.LEFT_BEHIND),
        ("RetainExceptOnCreate", Consequence.LEFT_BEHIND),
        ("Snapshot", Consequence.LEFT_BEHIND),
        ("Delete", Consequence.DATA_AT_RISK),
        (None, Consequence.DATA_AT_RISK),
    ],
)
def test_a_removed_key_by_its_policy(policy: str | None, expected: Consequence) -> None:
    attributes: dict[str, Any] = {"DeletionPolicy": policy} if policy else {}
    assert judge(resource("AWS::KMS::Key", **attributes), None, REGION).consequence is expected


def test_a_replaced_bucket_is_kept_only_by_the_policy_for_replacements() -> None:
    def after(**attributes: Any) -> Consequence:
        old = resource("AWS::S3::Bucket", {"BucketName": "a"}, **attributes)
        return judge(old, {**old, "Properties": {"BucketName": "b"}}, REGION).consequence

    assert after(UpdateReplacePolicy="Retain") is Consequence.LEFT_BEHIND
    assert after(DeletionPolicy="Retain") is Consequence.DATA_AT_RISK


def test_a_policy_that_only_one_template_has_is_not_relied_on() -> None:
    old = resource("AWS::S3::Bucket", {"BucketName": "a"}, UpdateReplacePolicy="Retain")
    verdict = judge(old, resource("AWS::S3::Bucket", {"BucketName": "b"}), REGION)
    assert verdict.consequence is Consequence.DATA_AT_RISK
    assert verdict.reason == "BucketName cannot be updated; UpdateReplacePolicy is Retain and not set"


def test_what_holds_no_data_is_removed_or_made() -> None:
    topic = resource("AWS::SNS::Topic")
    assert judge(topic, None, REGION).consequence is Consequence.REMOVAL
    assert judge(None, topic, REGION).consequence is Consequence.CREATION
    assert judge(None, None, REGION).consequence is Consequence.NOTHING


def test_another_type_under_one_logical_id_is_a_replacement() -> None:
    verdict = judge(resource("AWS::ECS::TaskDefinition"), resource("AWS::SNS::Topic"), REGION)
    assert (verdict.consequence, verdict.replaced) == (Consequence.REPLACEMENT, True)


def test_less_protection_is_told() -> None:
    old = resource("AWS::S3::Bucket", DeletionPolicy="Retain")
    verdict = judge(old, resource("AWS::S3::Bucket"), REGION)
    assert (verdict.consequence, verdict.reason) == (Consequence.IN_PLACE, "DeletionPolicy Retain -> not set")


@pytest.mark.parametrize(
    ("policy", "expected", "reason"),
    [
        ({"AutoScalingReplacingUpdate": {"WillReplace": True}}, Consequence.REPLACEMENT, "AutoScalingReplacingUpdate"),
        ({"AutoScalingReplacingUpdate": {"WillReplace": False}}, Consequence.ROLLING, "hosts started from now on"),
        ({"AutoScalingRollingUpdate": {}}, Consequence.ROLLING, "hosts are replaced in batches"),
    ],
)
def test_hosts_follow_the_groups_update_policy(policy: dict[str, Any], expected: Consequence, reason: str) -> None:
    old, new = (
        resource("AWS::AutoScaling::AutoScalingGroup", each, UpdatePolicy=policy) for each in (_LAUNCH, _RELAUNCH)
    )
    verdict = judge(old, new, REGION)
    assert verdict.consequence is expected
    assert reason in verdict.reason


def test_a_fixed_property_within_another_is_found() -> None:
    kind = "AWS::ECS::CapacityProvider"

    def provider(**group: Any) -> dict[str, Any]:
        return resource(kind, {"AutoScalingGroupProvider": {"AutoScalingGroupArn": "a", **group}})

    assert judge(provider(), provider(ManagedDraining="ENABLED"), REGION).consequence is Consequence.IN_PLACE
    verdict = judge(provider(), provider(AutoScalingGroupArn="b"), REGION)
    assert verdict.reason == "AutoScalingGroupProvider.AutoScalingGroupArn cannot be updated"


def test_a_whole_that_is_computed_at_deployment_hides_no_fixed_property() -> None:
    old = resource("AWS::ECS::CapacityProvider", {"AutoScalingGroupProvider": {"Fn::GetAtt": ["A", "B"]}})
    new = resource("AWS::ECS::CapacityProvider", {"AutoScalingGroupProvider": {"AutoScalingGroupArn": "b"}})
    assert judge(old, new, REGION).consequence is Consequence.REPLACEMENT
