"""The deployed stacks are described, let go of, and what stays behind is named."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.deploy import stacks

TOPIC = {"Type": "AWS::SNS::Topic"}
KEPT = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}
TEMPLATES = {
    "CDKToolkit": {"Assets": KEPT},
    "one-storage": {"Bucket": KEPT, "Topic": TOPIC, "Gone": {**TOPIC, "DeletionPolicy": "Delete"}},
    "one-network": {"Topic": TOPIC},
}


@pytest.fixture(autouse=True)
def _deployed(aws: Api) -> Iterator[None]:
    cloudformation = aws.client("cloudformation")
    for name, resources in TEMPLATES.items():
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
    yield
    for name in TEMPLATES:
        cloudformation.delete_stack(StackName=name)


def test_describes_the_deployment_without_cdks_own_stack(aws: Api) -> None:
    found = [stack for stack in stacks.describe(aws) if stack["name"] != "deployed"]
    assert sorted(found, key=str) == [
        {"name": "one-network", "resources": 1},
        {"name": "one-storage", "resources": 3},
    ]


def test_names_what_a_destroy_leaves_behind(aws: Api) -> None:
    assert stacks.retained(aws) == ["one-storage/Bucket"]


def test_takes_the_protection_off(aws: Api) -> None:
    cloudformation = aws.client("cloudformation")
    cloudformation.update_termination_protection(StackName="one-storage", EnableTerminationProtection=True)
    with pytest.raises(ClientError, match="TerminationProtection"):
        cloudformation.delete_stack(StackName="one-storage")
    stacks.unprotect(aws)
    cloudformation.delete_stack(StackName="one-storage")
    assert _left(aws) == {"one-network"}


def test_says_what_is_left(aws: Api) -> None:
    assert _left(aws) == {"one-network", "one-storage"}
    for name in ("one-storage", "one-network"):
        aws.client("cloudformation").delete_stack(StackName=name)
    assert _left(aws) == set()


def _left(aws: Api) -> set[str]:
    return set(stacks.left(aws)) - {"deployed"}
