"""The buckets: encrypted, private, retained; logs expire."""

from __future__ import annotations

from typing import Any

import pytest

from tests.templates import resources, templates


@pytest.fixture
def buckets() -> dict[str, dict[str, Any]]:
    storage = templates(audit__trail="organization")["storage"]
    found = {key: b for key, b in storage["Resources"].items() if b["Type"] == "AWS::S3::Bucket"}
    return {"logs" if "AccessLogs" in key else "artifacts": body for key, body in found.items()}


@pytest.mark.parametrize(("name", "algorithm"), [("artifacts", "aws:kms"), ("logs", "AES256")])
def test_buckets_are_retained_private_and_encrypted(
    buckets: dict[str, dict[str, Any]], name: str, algorithm: str
) -> None:
    bucket = buckets[name]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    [rule] = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    # load balancers write to no bucket with a customer's key
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm


def test_artifacts_keep_their_versions_and_log_their_readers(buckets: dict[str, dict[str, Any]]) -> None:
    properties = buckets["artifacts"]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "AccessLogs" in properties["LoggingConfiguration"]["DestinationBucketName"]["Ref"]


def test_access_logs_expire_and_do_not_log_themselves(buckets: dict[str, dict[str, Any]]) -> None:
    properties = buckets["logs"]["Properties"]
    [rule] = properties["LifecycleConfiguration"]["Rules"]
    assert (rule["ExpirationInDays"], rule["NoncurrentVersionExpiration"]) == (30, {"NoncurrentDays": 30})
    assert "LoggingConfiguration" not in properties


def test_nobody_comes_without_tls() -> None:
    policies = resources(templates()["storage"], "AWS::S3::BucketPolicy").values()
    for policy in policies:
        denied = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert [s["Condition"] for s in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]
    assert len(policies) == 3


def test_the_key_turns_and_stays() -> None:
    key = templates()["storage"]["Resources"]["ArtifactsKeyA4B22E2B"]
    assert (key["DeletionPolicy"], key["Properties"]["EnableKeyRotation"]) == ("Retain", True)
    # the account's own policies decide, so that a worker's role may be granted from its own stack
    [statement] = key["Properties"]["KeyPolicy"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("kms:*", "*")
