"""Check that the credentials are those of the deployment's account."""

from __future__ import annotations

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare the caller's account with ``account``; any account will do where the file names none."""
    caller = aws.client("sts").get_caller_identity()
    if deployment.account not in (None, caller["Account"]):
        found = f"credentials of account {caller['Account']}, the file names {deployment.account}"
        return failed(found, "use credentials of that account (AWS_PROFILE or --profile), or change account")
    return passed(f"{caller['Arn']}")
