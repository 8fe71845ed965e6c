"""Check that the account may run as many Trainium vCPUs as the file asks for."""

from __future__ import annotations

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.deployment import Deployment
from tandem.spec.instances import INSTANCE_TYPES
from tandem.spec.stages import groups

_QUOTA = "L-2C3B7624"
_QUOTA_NAME = "Running On-Demand Trn instances"
"""Code and name as ListServiceQuotas prints them for ec2; several published listings agree. No API model has codes, so
the answer's name is compared with this one."""


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare the quota with the vCPUs of every instance group; what else runs in the account is not counted."""
    asked = sum(INSTANCE_TYPES[group.instance_type].vcpus * group.count for _, group in groups(deployment))
    if not asked:
        return passed("no Trainium host is asked for")
    quota = aws.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=_QUOTA)["Quota"]
    if quota["QuotaName"] != _QUOTA_NAME:
        raise UndeterminedError(
            f"quota {_QUOTA} is {quota['QuotaName']!r} here, not {_QUOTA_NAME!r}", f"look up {_QUOTA_NAME!r} by hand"
        )
    found = f"{quota['Value']:.0f} vCPUs allowed, {asked} asked for"
    if quota["Value"] < asked:
        return failed(found, f"request an increase of ec2 quota {_QUOTA} in {deployment.region}, or ask for less")
    return passed(found)
