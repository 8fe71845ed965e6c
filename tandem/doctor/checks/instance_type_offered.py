"""Check that EC2 offers every instance type in the EFA zone."""

from __future__ import annotations

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment
from tandem.spec.stages import groups


def check(deployment: Deployment, aws: Aws) -> Result:
    """Ask for the zones of each type; zone names mean other zones in another account, so only AWS knows."""
    wanted = sorted({group.instance_type for _, group in groups(deployment)})
    if not wanted:
        return passed("no Trainium host is asked for")
    zone = deployment.network.efa_zone
    offered = _zones(aws, wanted)
    lacking = [kind for kind in wanted if zone not in offered[kind]]
    if lacking:
        where = "; ".join(f"{kind} in {', '.join(offered[kind]) or 'no zone of the region'}" for kind in lacking)
        return failed(f"not offered in {zone}: offered are {where}", "change network.efa_zone, region or instance_type")
    return passed(f"{', '.join(wanted)} in {zone}")


def _zones(aws: Aws, kinds: list[str]) -> dict[str, list[str]]:
    paginator = aws.client("ec2").get_paginator("describe_instance_type_offerings")
    filters = [{"Name": "instance-type", "Values": kinds}]
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    for page in paginator.paginate(LocationType="availability-zone", Filters=filters):
        for offering in page["InstanceTypeOfferings"]:
            found[offering["InstanceType"]].append(offering["Location"])
    return {kind: sorted(zones) for kind, zones in found.items()}
