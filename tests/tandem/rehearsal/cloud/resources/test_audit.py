"""A trail comes, shows itself, changes and goes, if its bucket and key admit it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tandem.rehearsal.cloud.conftest import ACCOUNT, Deployer

_WRITER = {"Service": "cloudtrail.amazonaws.com"}
_ARN = f"arn:aws:cloudtrail:us-east-2:{ACCOUNT}:trail/audit"


def _policy(*actions: str, source: str) -> dict[str, Any]:
    condition = {"StringEquals": {"aws:SourceArn": source}}
    allow = {"Effect": "Allow", "Principal": _WRITER, "Resource": "*", "Condition": condition}
    return {"Version": "2012-10-17", "Statement": [{**allow, "Action": action} for action in actions]}


def _resources(
    *, writing: str = "s3:PutObject", sealing: str = "kms:GenerateDataKey*", valid: bool = True
) -> dict[str, Any]:
    return {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {}},
        "Policy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Bucket"},
                "PolicyDocument": _policy("s3:GetBucketAcl", writing, source=_ARN),
            },
        },
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": _policy(sealing, source=_ARN)}},
        "Trail": {
            "Type": "AWS::CloudTrail::Trail",
            "DependsOn": ["Policy"],
            "Properties": {
                "TrailName": "audit",
                "S3BucketName": {"Ref": "Bucket"},
                "KMSKeyId": {"Fn::GetAtt": ["Key", "Arn"]},
                "IsLogging": True,
                "EnableLogFileValidation": valid,
                "EventSelectors": [{"IncludeManagementEvents": True, "ReadWriteType": "All"}],
            },
        },
    }


def test_a_trail_logs_from_its_beginning_to_its_end(deployer: Deployer) -> None:
    client = deployer.client("cloudtrail")
    ids = deployer.round_trip("trail", _resources())
    assert ids["Trail"] == "audit"
    assert client.get_trail_status(Name="audit")["IsLogging"]
    assert client.get_event_selectors(TrailName="audit")["EventSelectors"][0]["ReadWriteType"] == "All"
    assert deployer.update("trail", _resources(valid=False))["StackStatus"] == "UPDATE_COMPLETE"
    assert not client.get_trail(Name="audit")["Trail"]["LogFileValidationEnabled"]
    assert deployer.delete("trail") == "DELETE_COMPLETE"
    assert client.describe_trails()["trailList"] == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"writing": "s3:GetObject"}, "do s3:PutObject"), ({"sealing": "kms:Decrypt"}, "does not admit")],
)
def test_a_trail_that_may_not_write_is_refused(deployer: Deployer, wrong: dict[str, str], told: str) -> None:
    stack = deployer.create("refused", _resources(**wrong))  # type: ignore[arg-type]
    assert told in stack["StackStatusReason"]
    deployer.delete("refused")
