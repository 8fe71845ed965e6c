"""Check that every host has the EFA interfaces that its launch template asks for."""

from __future__ import annotations

from typing import Any

from tandem.doctor.aws import Aws
from tandem.doctor.deployed import Host, hosts
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment

_EFA = ("efa", "efa-only")
_Place = tuple[int, int]
"""Network card and device index."""


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare attached interfaces of type efa with the template's; whether libfabric uses them is not seen here."""
    found = hosts(aws, deployment)
    faults = [fault for host in found if (fault := _fault(host))]
    if faults:
        return failed("; ".join(faults), "replace these hosts: EFA cannot be attached to a running instance")
    if not found:
        return passed("no Trainium host is deployed")
    counts = sorted({len(_attached(host)) for host in found})
    return passed(f"{len(found)} of {len(found)} hosts with {' or '.join(map(str, counts))} EFA interfaces each")


def _fault(host: Host) -> str:
    wanted, attached = _wanted(host), _attached(host)
    if not wanted:
        return f"the launch template of {host.id} asks for no EFA interface"
    missing = sorted(wanted - attached)
    places = ", ".join(f"card {card} device {device}" for card, device in missing)
    return f"{host.id} lacks {len(missing)} of {len(wanted)} EFA interfaces: {places}" if missing else ""


def _wanted(host: Host) -> set[_Place]:
    interfaces = host.template.get("NetworkInterfaces", [])
    return {_place(one) for one in interfaces if one.get("InterfaceType") in _EFA}


def _attached(host: Host) -> set[_Place]:
    return {
        _place(one["Attachment"])
        for one in host.instance["NetworkInterfaces"]
        if one.get("InterfaceType") in _EFA and one["Attachment"]["Status"] == "attached"
    }


def _place(interface: dict[str, Any]) -> _Place:
    return interface.get("NetworkCardIndex", 0), interface["DeviceIndex"]
