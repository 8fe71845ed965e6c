"""Stateful resources keep their logical ids.

CloudFormation replaces a resource whose logical id changes: a bucket or key of that stack would be left behind with
its content, a secret would lose the keys that an operator put in, a VPC would take every host with it. Who moves one
of these in the construct tree must see it here first.
"""

from __future__ import annotations

from tandem.changes.schemas import stateful_types
from tests.documents import CERTIFICATE
from tests.templates import templates

_STATEFUL = stateful_types() | {
    "AWS::CloudTrail::Trail",
    "AWS::EC2::VPC",
    "AWS::SNS::Topic",
    "AWS::ServiceDiscovery::PrivateDnsNamespace",
}
"""AWS's own list, and what loses hosts, subscribers, names or an audit if it is replaced."""

_COMMON = {
    ("network", "NetworkVpc7FB7348F"),
    ("network", "NetworkFlowLogs2BEC3212"),
    ("network", "NetworkNamespaceD3AAC531"),
    ("storage", "ArtifactsKeyA4B22E2B"),
    ("storage", "KeyE447D366"),
    ("storage", "AuditBucket7486E833"),
    ("storage", "AuditTrail3BF4E139"),
    ("storage", "ArtifactsAccessLogs4D97777C"),
    ("storage", "ArtifactsBucket88671897"),
    ("gateway", "GatewayTenantsE147A12F"),
    ("gateway", "GatewayLogs34792D0F"),
}
_PREFILL = {
    ("prefill", "WorkersKeyD30C07F6"),
    ("prefill", "WorkersKeyRotationLogs1E3BD2C9"),
    ("prefill", "WorkersLogsE28D5C5A"),
}
_ENDPOINT = {("decode", "EndpointSecretD2FA9858"), ("decode", "EndpointProbeLogsF72F0B55")}
_TICKETS = {("decode", "EndpointTicketKey5BF58547")}
_DECODE_WORKERS = {("decode", key) for _, key in _PREFILL}
_AGENTCORE = {("gateway", "GatewayAgentCoreKey36FBECFD"), ("gateway", "GatewayAgentCoreRotationLogs58E05140")}


def _stateful(provider: str, **changes: object) -> set[tuple[str, str]]:
    return {
        (kind, key)
        for kind, template in templates(provider, **changes).items()
        for key, body in template["Resources"].items()
        if body["Type"] in _STATEFUL
    }


def test_logical_ids_with_an_endpoint_that_reads_kv_stay() -> None:
    assert _stateful("cs3") == _COMMON | _PREFILL | _ENDPOINT | _TICKETS


def test_logical_ids_with_an_endpoint_that_takes_text_stay() -> None:
    assert _stateful("openai") == _COMMON | _ENDPOINT


def test_logical_ids_with_workers_of_our_own_stay() -> None:
    assert _stateful("vllm") == _COMMON | _PREFILL | _DECODE_WORKERS


def test_logical_ids_with_agentcore_stay() -> None:
    gateway = {"certificate_arn": CERTIFICATE, "domain": "llm.example.com"}
    found = _stateful("openai", gateway=gateway, registration={"registrar": "agentcore-gateway"})
    assert found == _COMMON | _ENDPOINT | _AGENTCORE


def test_what_is_costly_to_lose_outlives_its_stack() -> None:
    kept = {"AWS::S3::Bucket", "AWS::KMS::Key"}
    for template in templates().values():
        for body in template["Resources"].values():
            if body["Type"] in kept:
                assert (body["DeletionPolicy"], body["UpdateReplacePolicy"]) == ("Retain", "Retain")
