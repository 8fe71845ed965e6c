"""Tell what EC2 would refuse about a launch template with EFA interfaces, before any instance is paid for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.model import Shape

from tandem.rehearsal.cloud.api import PropertyError, fit

_KINDS = ("interface", "efa", "efa-only")


def refusals(data: Mapping[str, Any], placement_groups: Collection[str]) -> list[str]:
    """Return why EC2 would refuse ``LaunchTemplateData``; an empty list if it would not.

    Checked are the property names and types, the interfaces' places (EC2's rule: the primary interface is on network
    card 0 as device 0), security groups, and whether the placement group is one of ``placement_groups``.
    """
    return [*_misfit(data), *_interfaces(data), *_placement(data, placement_groups)]


def _misfit(data: Mapping[str, Any]) -> Iterator[str]:
    try:
        fit(_shape(), data, "LaunchTemplateData")
    except PropertyError as error:
        yield str(error)


@lru_cache
def _shape() -> Shape:
    model = botocore.session.get_session().get_service_model("ec2")
    return model.shape_for("RequestLaunchTemplateData")


def _interfaces(data: Mapping[str, Any]) -> Iterator[str]:
    interfaces = data.get("NetworkInterfaces", [])
    if not interfaces:
        return
    if data.get("SecurityGroupIds") or data.get("SecurityGroups"):
        yield "security groups are given beside NetworkInterfaces; give them in each interface's Groups"
    missing = [index for index, one in enumerate(interfaces) if "DeviceIndex" not in one]
    if missing:
        yield f"network interfaces {missing} have no DeviceIndex"
    places = Counter((int(one.get("NetworkCardIndex", 0)), int(one.get("DeviceIndex", 0))) for one in interfaces)
    for (card, device), count in places.items():
        if count > 1:
            yield f"{count} network interfaces are on card {card} as device {device}; only one may be"
    if (0, 0) not in places:
        yield "no network interface is on card 0 as device 0; the primary one must be"
    kinds = {one["InterfaceType"] for one in interfaces if "InterfaceType" in one} - set(_KINDS)
    if kinds:
        yield f"InterfaceType is {', '.join(sorted(kinds))}; allowed: {', '.join(_KINDS)}"
    yield from _efa_only(interfaces)
    if len(interfaces) > 1 and any(str(one.get("AssociatePublicIpAddress")).lower() == "true" for one in interfaces):
        yield "AssociatePublicIpAddress needs a single network interface; use NAT or an elastic IP address"


def _efa_only(interfaces: list[Mapping[str, Any]]) -> Iterator[str]:
    for one in interfaces:
        if one.get("InterfaceType") != "efa-only":
            continue
        if (int(one.get("NetworkCardIndex", 0)), int(one.get("DeviceIndex", 0))) == (0, 0):
            yield "the primary network interface is efa-only, which has no IP address; use efa or interface"
        if one.get("PrivateIpAddress") or one.get("PrivateIpAddresses"):
            yield "an efa-only network interface is given an IP address; it takes none"


def _placement(data: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    name = data.get("Placement", {}).get("GroupName")
    if name is not None and name not in known:
        yield f"placement group {name!r} does not exist; there are: {', '.join(sorted(known)) or 'none'}"
