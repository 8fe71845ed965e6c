"""Check that every host is where EFA reaches it: in its placement group and in the EFA zone."""

from __future__ import annotations

from tandem.doctor.aws import Aws
from tandem.doctor.deployed import Host, hosts
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment


def check(deployment: Deployment, aws: Aws) -> Result:
    """Compare each host's zone with the file's, and its placement group with its launch template's."""
    zone = deployment.network.efa_zone
    found = hosts(aws, deployment)
    faults = [fault for host in found if (fault := _fault(host, zone))]
    if faults:
        return failed("; ".join(faults), "replace these hosts, so that they start from the launch template")
    if not found:
        return passed("no Trainium host is deployed")
    names = sorted({_asked(host) or "no placement group" for host in found})
    return passed(f"{len(found)} of {len(found)} hosts in {zone} and {', '.join(names)}")


def _fault(host: Host, zone: str) -> str:
    placement = host.instance["Placement"]
    if placement["AvailabilityZone"] != zone:
        return f"{host.id} is in {placement['AvailabilityZone']}, not in {zone}"
    actual, asked = placement.get("GroupName", ""), _asked(host)
    return f"{host.id} is in placement group {actual or 'none'}, not in {asked or 'none'}" if actual != asked else ""


def _asked(host: Host) -> str:
    return str(host.template.get("Placement", {}).get("GroupName", ""))
