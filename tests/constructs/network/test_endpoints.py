"""Endpoint policies: this account's callers, and the resources that a deployment uses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.templates import resources, templates

_TASKS = {"data-servicediscovery", "ecr.api", "ecr.dkr", "logs", "secretsmanager"}
_WORKERS = {"autoscaling", "ecs", "ecs-agent", "ecs-telemetry"}
_UNSUPPORTED = {"ecs-agent", "ecs-telemetry"}


def _endpoints(provider: str = "cs3", **changes: object) -> dict[str, dict[str, Any]]:
    found = resources(templates(provider, **changes)["network"], "AWS::EC2::VPCEndpoint").values()
    return {str(each["ServiceName"]).rpartition("us-east-2.")[2]: each for each in found}


def _s3(provider: str = "cs3", **changes: object) -> list[dict[str, Any]]:
    [gateway] = [e for e in _endpoints(provider, **changes).values() if e["VpcEndpointType"] == "Gateway"]
    return gateway["PolicyDocument"]["Statement"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("provider", "services"), [("cs3", _TASKS | _WORKERS), ("vllm", _TASKS | _WORKERS), ("openai", _TASKS)]
)
def test_each_service_that_something_calls_has_one(provider: str, services: set[str]) -> None:
    found = {name for name, each in _endpoints(provider).items() if each["VpcEndpointType"] == "Interface"}
    assert found == services


def test_every_policy_names_its_actions_and_admits_this_account_alone() -> None:
    for name, endpoint in _endpoints().items():
        if name in _UNSUPPORTED:
            assert "PolicyDocument" not in endpoint
            continue
        for statement in endpoint["PolicyDocument"]["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions)
            if "starport-layer-bucket" not in json.dumps(statement["Resource"]):
                assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}


def test_where_resources_can_be_named_they_are_this_accounts() -> None:
    for name, kind in (("ecr.dkr", "repository"), ("secretsmanager", "secret"), ("logs", "log-group")):
        statements = _endpoints()[name]["PolicyDocument"]["Statement"]
        [named] = [json.dumps(s["Resource"]) for s in statements if s["Resource"] != "*"]
        assert '{"Ref": "AWS::AccountId"}' in named
        assert f":{kind}" in named


def test_s3_leads_to_artifacts_and_image_layers() -> None:
    layers, artifacts, listing = _s3()
    assert layers["Action"] == "s3:GetObject"
    assert layers["Resource"]["Fn::Join"][1][-2:] == [{"Ref": "AWS::Region"}, "-starport-layer-bucket/*"]
    for statement in (artifacts, listing):
        assert "ExportsOutputFnGetAttArtifactsBucket" in json.dumps(statement["Resource"])


def test_s3_leads_to_the_weights_as_well() -> None:
    statements = _s3(model__weights="s3://weights-of-ours/llama/v1")
    reading = [json.dumps(s["Resource"]) for s in statements if s["Action"] == "s3:GetObject"]
    assert any("s3:::weights-of-ours/llama/v1/*" in each for each in reading)
    assert "s3:::weights-of-ours" in json.dumps(statements[-1]["Resource"])
    assert "weights-of-ours" not in json.dumps(_s3())


def test_s3_leads_to_the_tokenizer_and_nothing_beside_it() -> None:
    statements = _s3(model__tokenizer="s3://tokenizers-of-ours/llama/tokenizer.json")
    reading = [json.dumps(s["Resource"]) for s in statements if s["Action"] == "s3:GetObject"]
    assert any("s3:::tokenizers-of-ours/llama/tokenizer.json" in each for each in reading)
    assert "tokenizers-of-ours" not in json.dumps(statements[-1]["Resource"])
