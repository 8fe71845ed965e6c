"""What starts a new deployment of an ECS service is what AWS documents."""

from __future__ import annotations

import re

import botocore.session

from tandem.changes.rolling import DEPLOYING
from tandem.changes.schemas import schema


def _documented() -> set[str]:
    service = botocore.session.get_session().get_service_model("ecs")
    members = service.operation_model("UpdateService").input_shape.members
    said = {name: re.sub(r"<[^>]+>", "", shape.documentation) for name, shape in members.items()}
    deploying = {name for name, text in said.items() if re.search(r"triggers a new (service )?deployment\.", text)}
    return {name[0].upper() + name[1:] for name in deploying}


def test_the_properties_are_those_of_the_api_reference() -> None:
    # ForceNewDeployment is documented as starting one, in other words
    assert _documented() | {"ForceNewDeployment"} == DEPLOYING


def test_the_properties_are_spelled_as_cloudformation_has_them() -> None:
    known = schema("AWS::ECS::Service", "us-east-2")
    assert known is not None
    assert known.body["properties"].keys() >= DEPLOYING
