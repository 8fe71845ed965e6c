"""Deployed templates are read from CloudFormation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tandem.changes.deployed import DeployedError, deployed_templates
from tests.tandem.changes.deployments import stacks

REGION = "us-east-2"
TEMPLATE = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("cloudformation", region_name=REGION)


def _create(client: Any, name: str, body: str) -> None:
    client.create_stack(StackName=name, TemplateBody=body)


def test_stacks_of_the_app_and_those_it_had_before(cloudformation: Any) -> None:
    before = {"Description": stacks()["small-prefill"]["Description"], **TEMPLATE}
    _create(cloudformation, "small-network", json.dumps(TEMPLATE))
    _create(cloudformation, "small-prefill", json.dumps(before))
    _create(cloudformation, "small-two-prefill", json.dumps({"Description": "Tandem small-two: prefill", **TEMPLATE}))
    found = deployed_templates("small", REGION, ["small-network", "small-gateway"])
    assert found == {"small-network": TEMPLATE, "small-prefill": before}


def test_nothing_is_deployed(cloudformation: Any) -> None:
    assert deployed_templates("small", REGION, ["small-network"]) == {}


def test_a_template_that_cdk_did_not_write(cloudformation: Any) -> None:
    _create(cloudformation, "small-network", "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n")
    with pytest.raises(DeployedError, match="stack small-network: got a template that is no JSON"):
        deployed_templates("small", REGION, ["small-network"])


def test_an_unreachable_aws_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(DeployedError, match=r"us-east-2.*127\.0\.0\.1:1.*--against DIR"):
        deployed_templates("small", REGION, [])
