"""Check that the region has what the file's registrar calls."""

from __future__ import annotations

import socket

from botocore.exceptions import ClientError, EndpointConnectionError

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec import registration as chosen
from tandem.spec.deployment import Deployment

_ELSEWHERE = "change region, or use registrar none"


def check(deployment: Deployment, aws: Aws) -> Result:
    """Make a call that only lists: no endpoint data of botocore names the regions of these features."""
    try:
        return _asked(deployment.registration, aws)
    except EndpointConnectionError as error:
        if not _no_such_name(error):
            raise
        return failed(f"{deployment.region} has no endpoint {error.kwargs['endpoint_url']}", _ELSEWHERE)


def _asked(registration: chosen.Registration, aws: Aws) -> Result:
    match registration:
        case chosen.AgentCoreRegistration():
            aws.client("bedrock-agentcore-control").list_gateways(maxResults=1)
            return passed(f"AgentCore answers in {aws.region}")
        case chosen.ImportRegistration():
            aws.client("bedrock").list_model_import_jobs(maxResults=1)
            return passed(f"Bedrock lists import jobs in {aws.region}")
        case chosen.MarketplaceRegistration(endpoint_arn=arn):
            aws.client("bedrock").list_marketplace_model_endpoints(maxResults=1)
            return _endpoint(arn, aws)
        case _:
            return passed("the file registers nowhere")


def _endpoint(arn: str, aws: Aws) -> Result:
    """Judge the SageMaker endpoint that is to be registered: Bedrock takes one that is in service."""
    name = arn.rpartition("/")[2]
    try:
        status = aws.client("sagemaker").describe_endpoint(EndpointName=name)["EndpointStatus"]
    except ClientError as error:
        # SageMaker has no error of its own for what is not there
        if "Could not find" not in error.response["Error"]["Message"]:
            raise
        return failed(f"SageMaker has no endpoint {name}", "create it from the public hub, or correct endpoint_arn")
    if status != "InService":
        return failed(f"SageMaker endpoint {name} is {status}", "wait until it is InService, or see why it is not")
    return passed(f"SageMaker endpoint {name} is in service, and Bedrock lists marketplace endpoints")


def _no_such_name(error: EndpointConnectionError) -> bool:
    """Tell whether the endpoint's name does not exist, which no network fault of ours explains: STS's name does."""
    cause = error.kwargs["error"].__cause__
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
