"""The trail: what it records, who may write to its bucket, and when another trail does it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.templates import only, resources, templates


@pytest.fixture
def storage() -> dict[str, Any]:
    return templates()["storage"]


def test_it_records_api_calls_and_the_objects_of_the_artifacts(storage: dict[str, Any]) -> None:
    trail = only(storage, "AWS::CloudTrail::Trail")
    [selector] = trail["EventSelectors"]
    assert (selector["IncludeManagementEvents"], selector["ReadWriteType"]) == (True, "All")
    [objects] = selector["DataResources"]
    assert objects["Type"] == "AWS::S3::Object"
    assert objects["Values"][0]["Fn::Join"][1] == [{"Fn::GetAtt": ["ArtifactsBucket88671897", "Arn"]}, "/"]


def test_its_records_are_sealed_and_their_digests_kept(storage: dict[str, Any]) -> None:
    trail = only(storage, "AWS::CloudTrail::Trail")
    assert trail["EnableLogFileValidation"]
    assert "KeyE447D366" in json.dumps(trail["KMSKeyId"])


def test_its_bucket_is_retained_and_holds_records_for_a_year(storage: dict[str, Any]) -> None:
    [bucket] = [body for name, body in storage["Resources"].items() if name.startswith("AuditBucket")][:1]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    [rule] = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 365


def test_only_this_trail_writes_there(storage: dict[str, Any]) -> None:
    [policy] = [p for name, p in resources(storage, "AWS::S3::BucketPolicy").items() if name.startswith("Audit")]
    allowed = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert {each["Action"] for each in allowed} == {"s3:GetBucketAcl", "s3:PutObject"}
    for statement in allowed:
        assert statement["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
        source = statement["Condition"]["StringEquals"]["aws:SourceArn"]["Fn::Join"][1]
        assert source[-1] == ":trail/small-audit"


def test_where_the_organization_records_there_is_none() -> None:
    storage = templates(audit__trail="organization")["storage"]
    assert not resources(storage, "AWS::CloudTrail::Trail")
    assert not [name for name in storage["Resources"] if name.startswith("Audit")]
    assert "cloudtrail" not in json.dumps(storage)
