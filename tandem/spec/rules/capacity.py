"""Check how instance groups come by their hosts: reservations and blocks."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.spec.capacity import Capacity, CapacityBlock, OnDemand, Reservation, Spot, UltraServerBlock
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding
from tandem.spec.instances import INSTANCE_TYPES, InstanceType
from tandem.spec.stages import groups

_INSTANCES_OF_ULTRASERVER = 4
"""Trn2: 4 x trn2u.48xlarge (aws-neuron-sdk trn2-arch.rst)."""

_INSTANCES_OF_BLOCK = 64
"""The most that one Capacity Block holds (EC2 user guide, capacity-blocks)."""


def mode_offered(deployment: Deployment) -> Iterator[Finding]:
    """Require a type that is sold as the block, or the Spot hosts, that the group asks for."""
    for path, group in groups(deployment):
        if group.kind and not _offered(group.kind, group.capacity):
            yield Finding(
                code="capacity-mode-not-offered",
                path=f"{path}.capacity.mode",
                got=f"{group.capacity.mode} of {group.kind.name}",
                allowed=", ".join(kind.name for kind in INSTANCE_TYPES.values() if _offered(kind, group.capacity)),
                change="choose another type, or another mode",
            )


def _offered(kind: InstanceType, capacity: Capacity) -> bool:
    match capacity:
        case CapacityBlock():
            return kind.capacity_block
        case UltraServerBlock():
            return kind.ultraserver
        case Spot():
            # UltraServers are sold by the block alone; EC2 offers every other type of the table as Spot
            return not kind.ultraserver
        case _:
            return True


def ultraservers_whole(deployment: Deployment) -> Iterator[Finding]:
    """Require whole UltraServers: their block is sold, and placed, by four instances."""
    for path, group in groups(deployment):
        if isinstance(group.capacity, UltraServerBlock) and group.count % _INSTANCES_OF_ULTRASERVER:
            yield Finding(
                code="ultraserver-incomplete",
                path=f"{path}.count",
                got=str(group.count),
                allowed=f"a multiple of {_INSTANCES_OF_ULTRASERVER}, the instances of one UltraServer",
                change="change the count",
            )


def block_large_enough(deployment: Deployment) -> Iterator[Finding]:
    """Refuse more hosts than the largest Capacity Block holds: a group takes its hosts from one block."""
    for path, group in groups(deployment):
        if isinstance(group.capacity, CapacityBlock) and group.most > _INSTANCES_OF_BLOCK:
            yield Finding(
                code="block-exceeded",
                path=f"{path}.count" if group.most == group.count else f"{path}.max_count",
                got=str(group.most),
                allowed=f"at most {_INSTANCES_OF_BLOCK}, the largest Capacity Block",
                change="split the hosts among several groups, a block each",
            )


def zone_is_efa_zone(deployment: Deployment) -> Iterator[Finding]:
    """Require reserved hosts to stand in the EFA zone: EFA reaches no further."""
    for path, group in groups(deployment):
        if not isinstance(group.capacity, OnDemand | Spot) and group.capacity.zone != deployment.network.efa_zone:
            yield Finding(
                code="capacity-outside-zone",
                path=f"{path}.capacity.zone",
                got=group.capacity.zone,
                allowed=f"network.efa_zone ({deployment.network.efa_zone})",
                change="set network.efa_zone to the reservation's zone, or use a reservation of this zone",
            )


def resource_group_in_region(deployment: Deployment) -> Iterator[Finding]:
    """Require a resource group of the deployment's region, and account where the file names one."""
    for path, group in groups(deployment):
        field, target = _target(group.capacity)
        if not target.startswith("arn:"):
            continue
        _, _, _, region, account, _ = target.split(":", 5)
        if region != deployment.region or account != (deployment.account or account):
            yield Finding(
                code="resource-group-elsewhere",
                path=f"{path}.capacity.{field}",
                got=f"a resource group of account {account} in {region}",
                allowed=f"one of account {deployment.account or account} in {deployment.region}",
                change="name the resource group of this deployment's account and region",
            )


def _target(capacity: Capacity) -> tuple[str, str]:
    match capacity:
        case Reservation():
            return "target", capacity.target
        case UltraServerBlock():
            return "resource_group", capacity.resource_group
        case _:
            return "", ""
