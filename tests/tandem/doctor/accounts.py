"""Accounts for the doctor's tests: moto's, or clients that answer as told."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import boto3
from botocore.stub import Stubber

from tandem.doctor.aws import Aws, connect
from tandem.doctor.checks import BEFORE, LIVE
from tandem.doctor.examine import examine
from tandem.doctor.result import Result
from tandem.spec.deployment import Deployment

REGION: Final = "us-east-2"
ACCOUNT: Final = "123456789012"
"""moto's."""
CHECKS: Final = {**BEFORE, **LIVE}
DENIED: Final = "AccessDeniedException"

Answer = Mapping[str, Any] | str
"""An answer, or the error code of a refusal."""


@cache
def moto() -> Aws:
    """Return moto's account, by the doctor's own seam; it is empty at the start of every test."""
    return connect(REGION)


def client(service: str) -> Any:
    """Return a client of moto's account."""
    return moto().client(service)


def answering(service: str, *answers: tuple[str, Answer]) -> Any:
    """Return a client that expects these operations in this order, and checks each answer against the API's model."""
    stubbed = boto3.client(service, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
    stubber = Stubber(stubbed)
    for operation, answer in answers:
        if isinstance(answer, str):
            stubber.add_client_error(operation, answer, f"{answer} says the test", 400)
        else:
            stubber.add_response(operation, dict(answer))
    stubber.activate()
    return stubbed


def refusing(service: str, region: str) -> Any:
    """Return a client whose every call is denied."""
    denied = boto3.client(service, region_name=region, aws_access_key_id="test", aws_secret_access_key="test")
    answer = {"Error": {"Code": DENIED, "Message": "not you"}, "ResponseMetadata": {}}
    denied.meta.events.register("before-call", lambda **_: (SimpleNamespace(status_code=403), answer))
    return denied


def judge(name: str, deployment: Deployment, **stubbed: Any) -> Result:
    """Run one check as the doctor does; services without a client of the test's are moto's."""
    clients = {service.replace("_", "-"): one for service, one in stubbed.items()}
    aws = Aws(REGION, lambda service, region: clients.get(service) or moto().make(service, region))
    return examine(deployment, lambda: aws, {name: CHECKS[name]})[name]


def stack(*resources: tuple[str, str]) -> Any:
    """Return a CloudFormation client that knows one stack's resources, by type and physical id, for one question."""
    return answering("cloudformation", rows(*resources))


def rows(*resources: tuple[str, str]) -> tuple[str, Answer]:
    """Return CloudFormation's answer to one question for a stack's resources, by type and physical id."""
    found = [
        {
            "LogicalResourceId": f"Resource{index}",
            "ResourceType": kind,
            "PhysicalResourceId": physical_id,
            "ResourceStatus": "CREATE_COMPLETE",
            "LastUpdatedTimestamp": 0,
        }
        for index, (kind, physical_id) in enumerate(resources)
    ]
    return ("list_stack_resources", {"StackResourceSummaries": found})


def outputs(*found: tuple[str, str]) -> Any:
    """Return a CloudFormation client that knows one stack's outputs, for one question."""
    entries = [{"OutputKey": key, "OutputValue": value} for key, value in found]
    described = {"StackName": "s", "CreationTime": 0, "StackStatus": "CREATE_COMPLETE", "Outputs": entries}
    return answering("cloudformation", ("describe_stacks", {"Stacks": [described]}))
