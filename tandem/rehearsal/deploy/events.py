"""Read from CloudFormation's events what an operation did to each resource of a deployment."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.deploy import stacks

Key = tuple[str, str]
"""A resource: its stack's name and its logical id."""

_NO_RESOURCES: Final = ("AWS::CloudFormation::Stack", "AWS::CDK::Metadata")
_DONE: Final = ("COMPLETE", "SKIPPED")


def event_ids(aws: Api) -> set[str]:
    """Return the ids of all events there are: what comes later is told by ``actions``."""
    return {event["EventId"] for event in _events(aws, stacks.left(aws))}


def actions(aws: Api, seen: Collection[str], names: Collection[str] | None = None) -> dict[Key, str]:
    """Return the first action on each resource since the events ``seen``: CREATE, UPDATE, DELETE.

    ``names`` may be ids of stacks, which find deleted ones too; default: those that stand.
    """
    found: dict[Key, str] = {}
    for event in _events(aws, stacks.left(aws) if names is None else names):
        action, _, state = event["ResourceStatus"].rpartition("_")
        if event["ResourceType"] not in _NO_RESOURCES and event["EventId"] not in seen and state in _DONE:
            # newest first, so that the oldest stays
            found[event["StackName"], event["LogicalResourceId"]] = (
                f"{action}_SKIPPED" if state == "SKIPPED" else action
            )
    return found


def physical_ids(aws: Api, *types: str) -> dict[Key, str]:
    """Return the physical id of every deployed resource, or of those of ``types``."""
    pages = aws.client("cloudformation").get_paginator("list_stack_resources")
    return {
        (name, row["LogicalResourceId"]): row["PhysicalResourceId"]
        for name in stacks.left(aws)
        for page in pages.paginate(StackName=name)
        for row in page["StackResourceSummaries"]
        if not types or row["ResourceType"] in types
    }


def _events(aws: Api, names: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of each stack, newest first, as CloudFormation lists them."""
    pages = aws.client("cloudformation").get_paginator("describe_stack_events")
    for name in names:
        for page in pages.paginate(StackName=name):
            yield from page["StackEvents"]
