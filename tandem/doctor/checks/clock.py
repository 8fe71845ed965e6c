"""Check this machine's clock: AWS refuses signatures, and TLS certificates look expired, where it is off."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.deployment import Deployment

_MAX_SKEW_SECONDS = 60
"""AWS refuses after five minutes; handoff tickets and leases are counted in seconds."""


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare the clock with the Date of an answer from STS, also of a refusal: a wrong clock causes one."""
    try:
        metadata = aws.client("sts").get_caller_identity()["ResponseMetadata"]
    except ClientError as error:
        metadata = error.response["ResponseMetadata"]
    date = metadata.get("HTTPHeaders", {}).get("date")
    if date is None:
        raise UndeterminedError("STS answered without a Date", "look for a proxy that removes it")
    skew = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    found = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    if abs(skew) > _MAX_SKEW_SECONDS:
        return failed(found, f"set the clock by NTP; up to {_MAX_SKEW_SECONDS} s are allowed")
    return passed(found)
