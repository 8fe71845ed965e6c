"""Register a SageMaker endpoint with Bedrock Marketplace, and take the registration back.

The endpoint itself stays as it is. Its ARN is the physical id; what this stack did not register bears another one, so
that no rollback takes away a registration that was there before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, assert_never

import boto3
from botocore.exceptions import ClientError

from runtime.functions.custom_resource import Context, Done, Event, Goal, Refused, Waiting, carry_out

_ABSENT: Final = "ResourceNotFoundException"
NOT_OURS: Final = "not-registered"
"""The physical id of a registration that never came about."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say which registration is wanted, ``source`` None for none; ``ours``: this stack made the present one."""

    endpoint: str
    source: str | None
    ours: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Hold what Bedrock has registered for the endpoint."""

    source: str | None = None
    status: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Register:
    """Register the endpoint."""

    source: str


@dataclass(frozen=True, slots=True)
class Deregister:
    """Take the registration back."""


Action = Register | Deregister | Waiting | Done


def next_action(wanted: Wanted, found: Found) -> Action:
    """Return what brings what was found nearer to what is wanted; raise ``Refused`` where Bedrock will not have it."""
    if wanted.source is None:
        return Done() if found.source is None else Deregister()
    if found.source is None:
        return Register(wanted.source)
    if found.source != wanted.source:
        if wanted.ours:
            return Deregister()
        raise Refused(f"{wanted.endpoint} is registered for {found.source} already: deregister it, or name that model")
    match found.status:
        case "REGISTERED":
            return Done({"EndpointArn": wanted.endpoint})
        case "INCOMPATIBLE_ENDPOINT":
            raise Refused(
                f"{wanted.endpoint} is INCOMPATIBLE_ENDPOINT: {found.message or 'Bedrock gave no reason'}; it needs "
                "network isolation and the provider's own model artifacts"
            )
        case status:
            return Waiting(f"registration of {wanted.endpoint} is {status or 'without a status'}")


def handler(event: Event, context: Context) -> None:
    """Answer a custom resource with ``EndpointArn`` and ``ModelSource``."""
    carry_out(event, context, lambda given: plan(given, boto3.client("bedrock")))


def plan(event: Event, bedrock: Any) -> Goal:
    """Return the goal of an event; ``bedrock`` is a boto3 client."""
    endpoint, source = (event["ResourceProperties"][key] for key in ("EndpointArn", "ModelSource"))
    previous = str(event.get("PhysicalResourceId", ""))
    if event["RequestType"] == "Delete":
        if previous != endpoint:
            return Goal(previous, previous, Done)
        gone = Wanted(endpoint, None, ours=True)
        return Goal(previous, previous, lambda: _step(gone, bedrock))
    ours = previous == endpoint
    if not ours and _observe(endpoint, bedrock).source not in (None, source):
        # known before anything is done: the Delete after this failure must leave the other registration alone
        return Goal(endpoint, previous or NOT_OURS, lambda: _step(Wanted(endpoint, source, ours=False), bedrock))
    return Goal(endpoint, previous or endpoint, lambda: _step(Wanted(endpoint, source, ours=ours), bedrock))


def _step(wanted: Wanted, bedrock: Any) -> Done | Waiting:
    action = next_action(wanted, _observe(wanted.endpoint, bedrock))
    match action:
        case Done() | Waiting():
            return action
        case Register(source):
            bedrock.register_marketplace_model_endpoint(
                endpointIdentifier=wanted.endpoint, modelSourceIdentifier=source
            )
            return Waiting(f"{wanted.endpoint} is being registered")
        case Deregister():
            bedrock.deregister_marketplace_model_endpoint(endpointArn=wanted.endpoint)
            return Waiting(f"{wanted.endpoint} is being deregistered")
        case _:
            assert_never(action)


def _observe(endpoint: str, bedrock: Any) -> Found:
    try:
        answer = bedrock.get_marketplace_model_endpoint(endpointArn=endpoint)
    except ClientError as error:
        if error.response["Error"]["Code"] != _ABSENT:
            raise
        return Found()
    found = answer["marketplaceModelEndpoint"]
    return Found(found["modelSourceIdentifier"], found.get("status"), found.get("statusMessage", ""))
