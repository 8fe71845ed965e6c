"""Check that the account and region are bootstrapped for the CDK."""

from __future__ import annotations

from botocore.exceptions import ClientError

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment

_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
"""Where the bootstrap stack of the default qualifier writes its version."""
_NEEDED = 6
"""``requiresBootstrapStackVersion`` of a synthesized stack with assets."""


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare the bootstrap stack's version with the one that our stacks need."""
    change = f"run cdk bootstrap aws://{deployment.account or 'ACCOUNT'}/{deployment.region}"
    try:
        parameter = aws.client("ssm").get_parameter(Name=_PARAMETER)["Parameter"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
        return failed(f"no bootstrap stack in {deployment.region}", change)
    version = int(parameter["Value"])
    if version < _NEEDED:
        return failed(f"bootstrap version {version}, {_NEEDED} is needed", change)
    return passed(f"bootstrap version {version}, {_NEEDED} is needed")
