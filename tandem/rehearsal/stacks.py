"""Look at the deployed stacks, and let go of their protection before they are destroyed."""

from __future__ import annotations

import json
from typing import Any

import boto3

_BOOTSTRAP = "CDKToolkit"


def describe(session: boto3.Session) -> list[dict[str, Any]]:
    """Return the name and the number of resources of every stack of the deployment."""
    cloudformation = session.client("cloudformation")
    return [
        {"name": name, "resources": len(cloudformation.describe_stack_resources(StackName=name)["StackResources"])}
        for name in _names(session)
    ]


def retained(session: boto3.Session) -> list[str]:
    """Return the resources that a destroy leaves behind, as ``stack/logical id``."""
    cloudformation = session.client("cloudformation")
    found = []
    for name in _names(session):
        body = cloudformation.get_template(StackName=name)["TemplateBody"]
        template = body if isinstance(body, dict) else json.loads(body)
        found += [
            f"{name}/{logical_id}"
            for logical_id, resource in template["Resources"].items()
            if resource.get("DeletionPolicy") == "Retain"
        ]
    return found


def unprotect(session: boto3.Session) -> None:
    """Take termination protection off every stack, as an operator must before a destroy."""
    cloudformation = session.client("cloudformation")
    for name in _names(session):
        cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=False)


def left(session: boto3.Session) -> list[str]:
    """Return the stacks that are still there."""
    return _names(session)


def _names(session: boto3.Session) -> list[str]:
    stacks = session.client("cloudformation").describe_stacks()["Stacks"]
    return [stack["StackName"] for stack in stacks if stack["StackName"] != _BOOTSTRAP]
