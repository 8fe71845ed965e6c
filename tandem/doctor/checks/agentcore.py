"""Check that the region has Bedrock AgentCore where the file registers there."""

from __future__ import annotations

import socket

from botocore.exceptions import EndpointConnectionError

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import AgentCoreRegistration, Deployment


def check(deployment: Deployment, aws: Aws) -> Result:
    """List gateways; botocore's endpoint data names no region for AgentCore, so only a call tells."""
    if not isinstance(deployment.registration, AgentCoreRegistration):
        return passed("the file registers with no AgentCore gateway")
    try:
        aws.client("bedrock-agentcore-control").list_gateways(maxResults=1)
    except EndpointConnectionError as error:
        if not _no_such_name(error):
            raise
        return failed(f"{deployment.region} has no AgentCore endpoint", "change region, or use registrar none")
    return passed(f"AgentCore answers in {deployment.region}")


def _no_such_name(error: EndpointConnectionError) -> bool:
    """Tell whether the endpoint's name does not exist, which no network fault of ours explains: STS's name does."""
    cause = error.kwargs["error"].__cause__
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
