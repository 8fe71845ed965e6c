"""Read the templates that are deployed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tandem.assembly import Template

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_NOT_YET = "REVIEW_IN_PROGRESS"
"""The status of a stack that has a change set but was never deployed."""


class DeployedError(Exception):
    """Say why the deployed templates cannot be read."""


def deployed_templates(deployment: str, region: str, stacks: Collection[str]) -> dict[str, Template]:
    """Return the deployed templates of ``stacks`` and of every other stack of ``deployment``, by stack name.

    A stack that is not deployed is left out. ``AWS_ENDPOINT_URL`` and the usual credentials are honoured.
    """
    # half a second that the other commands need not wait
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        cloudformation = boto3.client("cloudformation", region_name=region)
        names = list(_names(cloudformation, deployment, stacks))
        return {name: _parse(name, cloudformation.get_template(StackName=name)["TemplateBody"]) for name in names}
    except (BotoCoreError, ClientError) as error:
        raise DeployedError(f"got no deployed templates in {region}: {error}: or compare with --against DIR") from error


def _names(cloudformation: Any, deployment: str, stacks: Collection[str]) -> Iterator[str]:
    for page in cloudformation.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            # a stack that is no longer in the app is known by what stacks/base.py describes every stack as
            ours = stack["StackName"] in stacks or stack.get("Description", "").startswith(f"Tandem {deployment}: ")
            if ours and stack["StackStatus"] != _NOT_YET:
                yield stack["StackName"]


def _parse(name: str, body: Any) -> Template:
    """Return the template; botocore has parsed it already where it is JSON."""
    try:
        template = json.loads(body) if isinstance(body, str) else body
    except ValueError as error:
        raise DeployedError(f"stack {name}: got a template that is no JSON, allowed is one of CDK") from error
    return dict(template)
