"""Check the network: zones, address ranges, and the way to a decode endpoint."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from tandem.spec.decode import Cs3
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding
from tandem.spec.stages import groups
from tandem.spec.workers import InstanceGroup

_RESERVED_BY_AWS = 5
"""Addresses of every subnet that AWS keeps for itself."""


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


def addresses_suffice(deployment: Deployment) -> Iterator[Finding]:
    """Require an address for each interface that takes one: the EFA subnet is the upper half of the VPC's range."""
    if list(cidr_usable(deployment)):
        return
    needed = sum(group.most * _addresses(group) for _, group in groups(deployment))
    free = ipaddress.IPv4Network(deployment.network.cidr).num_addresses // 2 - _RESERVED_BY_AWS
    if needed > free:
        yield Finding(
            code="addresses-exhausted",
            path="network.cidr",
            got=f"{free} addresses in the upper half of {deployment.network.cidr}",
            allowed=f"at least {needed}, one for each interface with an address of each host that the groups may have",
            change="choose a larger range, or fewer hosts",
        )


def _addresses(group: InstanceGroup) -> int:
    """Count one host's addresses: an efa-only interface has none."""
    if group.efa_layout == "ena-plus-efa-only" or group.kind is None:
        return 1
    return group.efa_interfaces or group.kind.efa_interfaces


def endpoint_service_in_region(deployment: Deployment) -> Iterator[Finding]:
    """Require a PrivateLink service of the deployment's region."""
    if not (isinstance(deployment.decode, Cs3) and deployment.decode.endpoint_service):
        return
    region = deployment.decode.endpoint_service.split(".")[3]
    if region != deployment.region:
        yield Finding(
            code="endpoint-service-elsewhere",
            path="decode.endpoint_service",
            got=f"a service in {region}",
            allowed=f"a service in {deployment.region}",
            change="ask the endpoint's owner for a service in this region",
        )
