"""Check that the account may run as many Trainium vCPUs as the file asks for."""

from __future__ import annotations

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.capacity import CapacityBlock, OnDemand, Reservation, UltraServerBlock
from tandem.spec.deployment import Deployment
from tandem.spec.section import Section
from tandem.spec.stages import groups

_QUOTA = "L-2C3B7624"
_QUOTA_NAME = "Running On-Demand Trn instances"
"""Code and name as ListServiceQuotas prints them for ec2; several published listings agree. No API model has codes, so
the answer's name is compared with this one."""

_COUNTED = (OnDemand, Reservation)
_BLOCKS = (CapacityBlock, UltraServerBlock)


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare the quota with the vCPUs of every instance group; what else runs in the account is not counted.

    Reservations count against it (EC2's error InstanceLimitExceeded says so). Of Capacity Blocks no public source says
    whether they do, so where they decide nobody can tell.
    """
    asked, blocks = _vcpus(deployment, _COUNTED), _vcpus(deployment, _BLOCKS)
    if not asked + blocks:
        return passed("no Trainium host is asked for")
    allowed = _allowed(aws)
    found = f"{allowed} vCPUs allowed, {asked} asked for" + (f" and {blocks} in Capacity Blocks" if blocks else "")
    if allowed < asked:
        return failed(found, f"request an increase of ec2 quota {_QUOTA} in {deployment.region}, or ask for less")
    if allowed < asked + blocks:
        raise UndeterminedError(
            f"{found}, which may count as well", f"to be safe, have ec2 quota {_QUOTA} raised to {asked + blocks}"
        )
    return passed(found)


def _vcpus(deployment: Deployment, modes: tuple[type[Section], ...]) -> int:
    total = 0
    for path, group in groups(deployment):
        if not isinstance(group.capacity, modes):
            continue
        if group.kind is None or not group.instance_type.startswith("trn"):
            raise UndeterminedError(
                f"{path}: {group.instance_type} is under another quota", "look that quota up by hand"
            )
        total += group.kind.vcpus * group.most
    return total


def _allowed(aws: Aws) -> int:
    quota = aws.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=_QUOTA)["Quota"]
    if quota["QuotaName"] != _QUOTA_NAME:
        raise UndeterminedError(
            f"quota {_QUOTA} is {quota['QuotaName']!r} here, not {_QUOTA_NAME!r}", f"look up {_QUOTA_NAME!r} by hand"
        )
    return int(quota["Value"])
