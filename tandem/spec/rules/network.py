"""Check the network section: zones and address ranges."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from tandem.spec.deployment import Cs3, Deployment
from tandem.spec.findings import Finding


def zones_in_region(deployment: Deployment) -> Iterator[Finding]:
    """Require every zone to lie in the deployment's region."""
    zones = {"network.efa_zone": deployment.network.efa_zone}
    zones |= {f"network.load_balancer_zones.{i}": z for i, z in enumerate(deployment.network.load_balancer_zones)}
    for path, zone in zones.items():
        if zone[:-1] != deployment.region:
            yield Finding(
                code="zone-outside-region",
                path=path,
                got=zone,
                allowed=f"a zone of {deployment.region}",
                change="name a zone of the region, or change region",
            )


def zones_distinct(deployment: Deployment) -> Iterator[Finding]:
    """Require a load balancer's zones to differ from one another."""
    zones = deployment.network.load_balancer_zones
    if len(set(zones)) < len(zones):
        yield Finding(
            code="zone-repeated",
            path="network.load_balancer_zones",
            got=", ".join(zones),
            allowed="different zones",
            change="name another zone",
        )


def cidr_usable(deployment: Deployment) -> Iterator[Finding]:
    """Require the VPC's range to be a private IPv4 network from /16 to /20."""
    got = deployment.network.cidr
    try:
        usable = 16 <= ipaddress.IPv4Network(got).prefixlen <= 20 and ipaddress.IPv4Network(got).is_private
    except ValueError:
        usable = False
    if not usable:
        yield Finding(
            code="cidr-unusable",
            path="network.cidr",
            got=got,
            allowed="a private network address with a prefix of 16 to 20",
            change="choose such a range, host bits zero",
        )


def peer_cidr_usable(deployment: Deployment) -> Iterator[Finding]:
    """Require the CS-3 side's range to be an IPv4 network and not the whole internet."""
    if not isinstance(deployment.decode, Cs3):
        return
    got = deployment.decode.peer_cidr
    try:
        usable = ipaddress.IPv4Network(got).prefixlen >= 8
    except ValueError:
        usable = False
    if not usable:
        yield Finding(
            code="peer-cidr-unusable",
            path="decode.peer_cidr",
            got=got,
            allowed="a network address with a prefix of 8 or more",
            change="name the range the CS-3 side connects from, host bits zero",
        )
