"""Stateful resources keep their logical ids.

CloudFormation replaces a resource whose logical id changes: a bucket or key of that stack would be left behind with
its content, a secret would lose the keys that an operator put in, a VPC would take every host with it. Who moves one
of these in the construct tree must see it here first.
"""

from __future__ import annotations

from tests.templates import templates

_STATEFUL = {
    "AWS::EC2::VPC",
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
    "AWS::ServiceDiscovery::PrivateDnsNamespace",
}

_CS3 = {
    ("network", "NetworkVpc7FB7348F"),
    ("network", "NetworkNamespaceD3AAC531"),
    ("storage", "ArtifactsKeyA4B22E2B"),
    ("storage", "KeyE447D366"),
    ("storage", "AuditBucket7486E833"),
    ("storage", "ArtifactsAccessLogs4D97777C"),
    ("storage", "ArtifactsBucket88671897"),
    ("prefill", "WorkersKeyD30C07F6"),
    ("decode", "EndpointSecretD2FA9858"),
    ("decode", "EndpointTicketKey5BF58547"),
    ("gateway", "GatewayTenantsE147A12F"),
}


def _stateful(provider: str) -> set[tuple[str, str]]:
    return {
        (kind, key)
        for kind, template in templates(provider).items()
        for key, body in template["Resources"].items()
        if body["Type"] in _STATEFUL
    }


def test_logical_ids_with_an_endpoint_stay() -> None:
    assert _stateful("cs3") == _CS3


def test_logical_ids_with_workers_of_our_own_stay() -> None:
    expected = {entry for entry in _CS3 if entry[0] != "decode"}
    assert _stateful("vllm") == expected | {("decode", "WorkersKeyD30C07F6")}


def test_what_is_costly_to_lose_outlives_its_stack() -> None:
    kept = {"AWS::S3::Bucket", "AWS::KMS::Key"}
    for body in templates()["storage"]["Resources"].values():
        if body["Type"] in kept:
            assert (body["DeletionPolicy"], body["UpdateReplacePolicy"]) == ("Retain", "Retain")
