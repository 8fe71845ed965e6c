"""Check that reservations and Capacity Blocks are there, as large and as long as the file says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec.capacity import CapacityBlock, Reservation, UltraServerBlock
from tandem.spec.deployment import Deployment
from tandem.spec.stages import groups
from tandem.spec.workers import InstanceGroup

_USABLE = {"active"}
_COMING = {"scheduled", "assessing", "payment-pending", "pending", "delayed"}
"""States of a reservation that is not there yet; a group waits for it (EC2 API reference, CapacityReservation)."""
_MISSING = "InvalidCapacityReservationId.NotFound"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Hold what all instance groups of one target and type ask of it."""

    target: str
    kind: str
    capacity: Reservation | CapacityBlock | UltraServerBlock
    hosts: int


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare state, type, zone, size and end with the file; instances that run in it already count as ours."""
    wanted = _wanted(deployment)
    if not wanted:
        return passed("no reservation is named")
    found, faults = [], []
    for each in wanted:
        reservations = _reservations(aws, each.target)
        faults += [f"{each.target}: {fault}" for fault in _faults(each, reservations)]
        found.append(f"{each.target}: {_size(reservations)} {each.kind} for {each.hosts} hosts{_begin(reservations)}")
    if faults:
        return failed("; ".join(faults), "correct the group's capacity, or change the reservation: docs/capacity.md")
    return passed("; ".join(found))


def _wanted(deployment: Deployment) -> list[_Wanted]:
    asked: dict[tuple[str, str], list[InstanceGroup]] = defaultdict(list)
    for _, group in groups(deployment):
        if isinstance(group.capacity, Reservation | CapacityBlock | UltraServerBlock):
            asked[_target(group.capacity), group.instance_type].append(group)
    return [
        _Wanted(target, kind, capacity, sum(group.most for group in some))
        for (target, kind), some in asked.items()
        if isinstance(capacity := some[0].capacity, Reservation | CapacityBlock | UltraServerBlock)
    ]


def _target(capacity: Reservation | CapacityBlock | UltraServerBlock) -> str:
    match capacity:
        case Reservation():
            return capacity.target
        case CapacityBlock():
            return capacity.reservation_id
        case UltraServerBlock():
            return capacity.resource_group


def _reservations(aws: Aws, target: str) -> list[dict[str, Any]]:
    """Return EC2's description of a reservation, or of those in a resource group; none where it is not there."""
    ids = _members(aws, target) if target.startswith("arn:") else [target]
    if not ids:
        return []
    try:
        answer = aws.client("ec2").describe_capacity_reservations(CapacityReservationIds=ids)
    except ClientError as error:
        if error.response["Error"]["Code"] != _MISSING:
            raise
        return []
    found: list[dict[str, Any]] = answer["CapacityReservations"]
    return found


def _members(aws: Aws, group: str) -> list[str]:
    pages = aws.client("resource-groups").get_paginator("list_group_resources").paginate(Group=group)
    arns = [each["Identifier"]["ResourceArn"] for page in pages for each in page.get("Resources", [])]
    return [arn.rpartition("/")[2] for arn in arns if ":capacity-reservation/" in arn]


def _faults(wanted: _Wanted, reservations: Sequence[dict[str, Any]]) -> list[str]:
    if not reservations:
        return ["there is none in this account and region"]
    faults = [fault for each in reservations for fault in _unlike(wanted, each)]
    if (size := _size(reservations)) < wanted.hosts:
        faults.append(f"{size} instances, the file asks for up to {wanted.hosts}")
    return faults


def _unlike(wanted: _Wanted, found: dict[str, Any]) -> list[str]:
    """Return in what one reservation differs from the file."""
    expected = {"InstanceType": wanted.kind, "AvailabilityZone": wanted.capacity.zone}
    faults = [f"{name} is {found[name]}, not {value}" for name, value in expected.items() if found[name] != value]
    if found["State"] not in _USABLE | _COMING:
        faults.append(f"state {found['State']}")
    if not isinstance(wanted.capacity, Reservation) and found.get("EndDate") != wanted.capacity.ends_at:
        faults.append(f"ends {found.get('EndDate', 'never')}, the file says {wanted.capacity.ends_at}")
    return faults


def _size(reservations: Sequence[dict[str, Any]]) -> int:
    return sum(each["TotalInstanceCount"] for each in reservations)


def _begin(reservations: Sequence[dict[str, Any]]) -> str:
    """Return when the last of them begins, empty where all have."""
    coming = [each for each in reservations if each["State"] in _COMING]
    starts = [str(each.get("StartDate", "a day not told yet")) for each in coming]
    return f", {coming[-1]['State']}, from {max(starts)}" if coming else ""
