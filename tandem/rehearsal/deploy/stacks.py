"""Look at the deployed stacks, and let go of their protection before they are destroyed."""

from __future__ import annotations

import json
from typing import Any

from tandem.rehearsal.cloud.api import Api

_BOOTSTRAP = "CDKToolkit"


def describe(aws: Api) -> list[dict[str, Any]]:
    """Return the name and the number of resources of every stack of the deployment."""
    cloudformation = aws.client("cloudformation")
    return [
        {"name": name, "resources": len(cloudformation.describe_stack_resources(StackName=name)["StackResources"])}
        for name in _names(aws)
    ]


def retained(aws: Api) -> list[str]:
    """Return the resources that a destroy leaves behind, as ``stack/logical id``."""
    cloudformation = aws.client("cloudformation")
    found = []
    for name in _names(aws):
        body = cloudformation.get_template(StackName=name)["TemplateBody"]
        template = body if isinstance(body, dict) else json.loads(body)
        found += [
            f"{name}/{logical_id}"
            for logical_id, resource in template["Resources"].items()
            if resource.get("DeletionPolicy") == "Retain"
        ]
    return found


def unprotect(aws: Api) -> None:
    """Take termination protection off every stack, as an operator must before a destroy."""
    cloudformation = aws.client("cloudformation")
    for name in _names(aws):
        cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=False)


def left(aws: Api) -> list[str]:
    """Return the stacks that are still there."""
    return _names(aws)


def _names(aws: Api) -> list[str]:
    stacks = aws.client("cloudformation").describe_stacks()["Stacks"]
    return [stack["StackName"] for stack in stacks if stack["StackName"] != _BOOTSTRAP]
