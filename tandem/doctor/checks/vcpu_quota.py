"""Check that the account may run as many vCPUs of each family, on demand and as Spot, as the file asks for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.capacity import CapacityBlock, Spot, UltraServerBlock
from tandem.spec.deployment import Deployment
from tandem.spec.stages import groups
from tandem.spec.workers import InstanceGroup

_FAMILY = re.compile(r"[a-z]+")
_BLOCKS = (CapacityBlock, UltraServerBlock)


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare each quota with the vCPUs of the groups under it, at their most; what else runs is not counted.

    Reservations count as on-demand (EC2's error InstanceLimitExceeded says so). Of Capacity Blocks no public source
    says whether they do, so where they decide nobody can tell.
    """
    asked, blocks = _vcpus(deployment)
    if not asked + blocks:
        return passed("no Trainium host is asked for")
    allowed = _allowed(aws, {*asked, *blocks})
    found = "; ".join(_line(name, allowed[name], asked[name], blocks[name]) for name in allowed)
    if short := [name for name in allowed if allowed[name] < asked[name]]:
        change = f"request an increase of {' and '.join(short)} (ec2) in {deployment.region}, or ask for less"
        return failed(found, change)
    if unsure := [name for name in allowed if allowed[name] < asked[name] + blocks[name]]:
        raise UndeterminedError(
            f"{found}, which may count as well",
            "to be safe, have " + " and ".join(f"{name} raised to {asked[name] + blocks[name]}" for name in unsure),
        )
    return passed(found)


def _vcpus(deployment: Deployment) -> tuple[Counter[str], Counter[str]]:
    """Return the vCPUs asked for by the quota's name: those that surely count, and those of Capacity Blocks."""
    asked, blocks = Counter[str](), Counter[str]()
    for path, group in groups(deployment):
        if group.kind is None:
            raise UndeterminedError(f"{path}: {group.instance_type} is unknown", "state instance_facts")
        counted = blocks if isinstance(group.capacity, _BLOCKS) else asked
        counted[_quota(group)] += group.kind.vcpus * group.most
    return asked, blocks


def _quota(group: InstanceGroup) -> str:
    """Return the quota's name as Service Quotas lists it; its code differs by name alone, and is in no API model."""
    family = _FAMILY.findall(group.instance_type)[0].capitalize()
    if isinstance(group.capacity, Spot):
        return f"All {family} Spot Instance Requests"
    return f"Running On-Demand {family} instances"


def _allowed(aws: Aws, names: set[str]) -> dict[str, int]:
    allowed = {name: int(value) for name, value in _listed(aws) if name in names}
    if missing := names - allowed.keys():
        raise UndeterminedError(f"no ec2 quota is named {' or '.join(sorted(missing))}", "look it up by hand")
    return dict(sorted(allowed.items()))


def _listed(aws: Aws) -> Iterator[tuple[str, float]]:
    pages = aws.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="ec2")
    for page in pages:
        yield from ((quota["QuotaName"], quota["Value"]) for quota in page["Quotas"])


def _line(name: str, allowed: int, asked: int, blocks: int) -> str:
    more = f" and {blocks} in Capacity Blocks" if blocks else ""
    return f"{name}: {allowed} vCPUs allowed, {asked} asked for{more}"
