"""Check that the region has the ECS-optimized Neuron AMI that hosts boot from."""

from __future__ import annotations

from botocore.exceptions import ClientError

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment
from tandem.spec.stages import groups

_PARAMETER = "/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id"
"""The parameter in the workers' templates."""


def check(deployment: Deployment, aws: Aws) -> Result:
    """Ask Systems Manager for AWS's public parameter."""
    if not list(groups(deployment)):
        return passed("no Trainium host is asked for")
    try:
        parameter = aws.client("ssm").get_parameter(Name=_PARAMETER)["Parameter"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        return failed(f"{deployment.region} has no parameter {_PARAMETER}", "deploy to a region with Neuron AMIs")
    return passed(parameter["Value"])
