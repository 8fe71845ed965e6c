"""The events of an operation tell what was done to each resource, also of stacks that are gone."""

from __future__ import annotations

import json
from typing import Any

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.deploy import events as stack_events

NAME = "events-of-a-stack"


def parameter(value: str, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}, **more}


def body(**resources: Any) -> str:
    metadata = {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": json.dumps(sorted(resources))}}
    return json.dumps({"Resources": {**resources, "CDKMetadata": metadata}})


def test_actions_since(aws: Api) -> None:
    cloudformation = aws.client("cloudformation")
    kept = parameter("k", DeletionPolicy="Retain")
    first = body(Stays=parameter("1"), Changes=parameter("1"), Goes=parameter("1"), Kept=kept)
    stack = cloudformation.create_stack(StackName=NAME, TemplateBody=first)["StackId"]
    seen, before = stack_events.event_ids(aws), stack_events.physical_ids(aws, "AWS::SSM::Parameter")
    assert {key for name, key in before if name == NAME} == {"Stays", "Changes", "Goes", "Kept"}
    second = body(Stays=parameter("1"), Changes=parameter("2"), Comes=parameter("1"), Kept=kept)
    cloudformation.update_stack(StackName=NAME, TemplateBody=second)
    assert stack_events.actions(aws, seen) == {
        (NAME, "Changes"): "UPDATE",
        (NAME, "Comes"): "CREATE",
        (NAME, "Goes"): "DELETE",
    }
    seen = stack_events.event_ids(aws)
    cloudformation.delete_stack(StackName=NAME)
    done = stack_events.actions(aws, seen, [stack])
    assert done.pop((NAME, "Kept")) == "DELETE_SKIPPED"
    assert done == dict.fromkeys([(NAME, "Stays"), (NAME, "Changes"), (NAME, "Comes")], "DELETE")
