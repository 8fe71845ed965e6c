"""An embedded AWS a module, and the way to deploy a template to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tandem.rehearsal.cloud.server import EmbeddedCloud

ACCOUNT, REGION = "111122223333", "us-east-2"


class Deployer:
    """Deploy templates as a client does, and tell what became of them."""

    def __init__(self, cloud: EmbeddedCloud) -> None:
        self.cloud = cloud
        self.cloudformation = cloud.api.client("cloudformation")

    def client(self, service: str) -> Any:
        """Return a boto3 client of the account's administrator."""
        return self.cloud.api.client(service)

    def create(self, name: str, resources: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Create a stack and return it."""
        self.cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources, **more}))
        return self.stack(name)

    def update(self, name: str, resources: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Update a stack and return it."""
        self.cloudformation.update_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources, **more}))
        return self.stack(name)

    def delete(self, name: str) -> str:
        """Delete a stack and return its last status."""
        stack_id = self.stack(name)["StackId"]
        self.cloudformation.delete_stack(StackName=name)
        return str(self.stack(stack_id)["StackStatus"])

    def stack(self, name: str) -> dict[str, Any]:
        """Return what DescribeStacks says."""
        found: dict[str, Any] = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return found

    def outputs(self, name: str) -> dict[str, str]:
        """Return the outputs by key."""
        return {one["OutputKey"]: one["OutputValue"] for one in self.stack(name).get("Outputs", [])}

    def ids(self, name: str) -> dict[str, str]:
        """Return physical ids by logical id."""
        rows = self.cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        return {row["LogicalResourceId"]: row["PhysicalResourceId"] for row in rows}

    def round_trip(self, name: str, resources: dict[str, Any], **more: Any) -> dict[str, str]:
        """Create a stack that must succeed; the caller looks at it and then calls ``delete``."""
        stack = self.create(name, resources, **more)
        assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
        return self.ids(name)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    with EmbeddedCloud(ACCOUNT, REGION, tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def deployer(cloud: EmbeddedCloud) -> Deployer:
    return Deployer(cloud)
