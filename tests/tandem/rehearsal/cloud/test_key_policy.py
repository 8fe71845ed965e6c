"""A key's own policy admits those whom it names, and nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tandem.rehearsal.cloud.key_policy import admits
from tests.tandem.rehearsal.cloud.conftest import ACCOUNT, Deployer

_ROOT = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
_LOGS = {"Service": "logs.us-east-2.amazonaws.com"}
_GROUPS = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:us-east-2:{ACCOUNT}:log-group:mine-*"}}


def _statement(principal: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": ["kms:Encrypt*"], "Resource": "*", **more}


def _key(*statements: dict[str, Any]) -> dict[str, Any]:
    document = {"Version": "2012-10-17", "Statement": [_ROOT, *statements]}
    return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": document}}


@pytest.mark.parametrize(
    ("statement", "context", "expected"),
    [
        (_statement("*"), {}, True),
        (_statement({"AWS": "*"}), {}, True),
        (_statement(_LOGS), {}, True),
        (_statement({"Service": "s3.amazonaws.com"}), {}, False),
        (_statement("*", Action="kms:Decrypt"), {}, False),
        (_statement("*", Effect="Deny"), {}, False),
        (_statement("*", Condition={"StringEquals": {"kms:CallerAccount": "1"}}), {"kms:CallerAccount": "1"}, True),
        (_statement("*", Condition={"StringEquals": {"kms:CallerAccount": "1"}}), {"kms:CallerAccount": "2"}, False),
        (_statement("*", Condition={"StringEquals": {"kms:CallerAccount": "1"}}), {}, False),
    ],
)
def test_admits(deployer: Deployer, statement: dict[str, Any], context: dict[str, str], expected: bool) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": [_ROOT, statement]})
    key = deployer.client("kms").create_key(Policy=document)["KeyMetadata"]["Arn"]
    found = admits(deployer.cloud.api, key, "kms:Encrypt", service=_LOGS["Service"], context=context)
    assert found is expected


def test_a_condition_that_is_not_known_is_no_guess(deployer: Deployer) -> None:
    statement = _statement("*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})
    document = json.dumps({"Version": "2012-10-17", "Statement": [_ROOT, statement]})
    key = deployer.client("kms").create_key(Policy=document)["KeyMetadata"]["Arn"]
    with pytest.raises(ValueError, match="condition operator IpAddress of a key policy is unknown"):
        admits(deployer.cloud.api, key, "kms:Encrypt", context={"aws:SourceIp": "10.0.0.1"})


@pytest.mark.parametrize(("name", "status"), [("mine", "CREATE_COMPLETE"), ("theirs", "ROLLBACK_COMPLETE")])
def test_a_log_group_needs_a_key_that_admits_it(deployer: Deployer, name: str, status: str) -> None:
    resources = {
        "Key": _key(_statement(_LOGS, Condition=_GROUPS)),
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}},
    }
    stack = deployer.create(name, resources)
    assert stack["StackStatus"] == status
    assert ("is not allowed to be used with" in stack.get("StackStatusReason", "")) is (name == "theirs")
    deployer.delete(name)


def test_a_launch_template_needs_a_volume_key_that_auto_scaling_may_use(deployer: Deployer) -> None:
    volume = {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}}
    data = {"ImageId": "ami-1", "BlockDeviceMappings": [volume]}
    template = {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": data}}
    stack = deployer.create("volumes", {"Key": _key(), "Template": template})
    assert "AWSServiceRoleForAutoScaling, which starts the hosts" in stack["StackStatusReason"]
    deployer.delete("volumes")
