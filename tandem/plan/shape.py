"""Describe kinds of deployments by two sizes, so that one search serves them all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from tandem.catalog.machines import machines
from tandem.catalog.models import Model
from tandem.plan.hourly import Hourly, of_hosts, of_systems
from tandem.simulation import deployed
from tandem.simulation.site import Pool, Site
from tandem.spec.decode import Cs3, VllmDecode
from tandem.spec.deployment import Deployment
from tandem.spec.workers import InstanceGroup

_GIGA: Final = 1e9
MOST_HOSTS: Final = 500
MOST_SYSTEMS: Final = 2048


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """Name one size of a shape and its bounds; where both are equal it is not searched."""

    unit: str
    least: int
    most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Hold a kind of deployment: ``site`` and ``hourly`` take a size along each axis."""

    name: str
    axes: tuple[Axis, Axis]
    site: Callable[[int, int], Site]
    hourly: Callable[[int, int], Hourly]

    def said(self, size: tuple[int, int]) -> str:
        """Return a size in words."""
        parts = [f"{count} {axis.unit}" for count, axis in zip(size, self.axes, strict=True) if axis.most]
        return ", ".join(parts)


def handoff(deployment: Deployment, system_usd: float | None) -> Shape:
    """Return the file's own kind: prefill hosts before CS-3 systems, or before hosts that decode."""
    base, decode = deployed.site_of(deployment), deployment.decode
    prefill = deployment.prefill
    assert prefill is not None  # noqa: S101 - whoever has no prefill is planned as text
    group = searched(prefill.groups)
    hosts = Axis(unit=f"{group.instance_type} for prefill", least=1, most=MOST_HOSTS)
    if isinstance(decode, VllmDecode):
        other = searched(decode.groups)
        axes = (hosts, Axis(unit=f"{other.instance_type} for decode", least=1, most=MOST_HOSTS))

        def decoders(count: int, others: int) -> Site:
            pools = deployed.pools(base.model, decode.groups)
            return replace(
                base, prefill=sized(base.prefill, group.name, count), decode=sized(pools, other.name, others)
            )

        def both(count: int, others: int) -> Hourly:
            fixed = of_hosts(deployment, prefill.groups, {group.name: count})
            return fixed + of_hosts(deployment, decode.groups, {other.name: others})

        return Shape(name="KV handoff, decode on Trainium", axes=axes, site=decoders, hourly=both)

    endpoints = len(decode.endpoints) if isinstance(decode, Cs3) else 1

    def wafers(count: int, systems: int) -> Site:
        there = deployed.wafers(base.model, systems, endpoints)
        return replace(base, prefill=sized(base.prefill, group.name, count), decode=there)

    def cost(count: int, systems: int) -> Hourly:
        return of_hosts(deployment, prefill.groups, {group.name: count}) + of_systems(systems, system_usd)

    axes = (hosts, Axis(unit="CS-3", least=endpoints * least_systems(base.model), most=MOST_SYSTEMS))
    return Shape(name="KV handoff", axes=axes, site=wafers, hourly=cost)


def aggregated(deployment: Deployment) -> Shape:
    """Return the same hosts, each prefilling and decoding by itself."""
    base, prefill = deployed.site_of(deployment), deployment.prefill
    assert prefill is not None  # noqa: S101
    group = searched(prefill.groups)
    alone = [each for each in prefill.groups if each.name == group.name]
    pool = deployed.pools(base.model, alone)
    seqs = max(base.max_num_seqs, base.decode_max_num_seqs)

    def site(count: int, _: int) -> Site:
        return replace(base, prefill=(), decode=(replace(pool[0], count=count),), decode_max_num_seqs=seqs)

    def cost(count: int, _: int) -> Hourly:
        return of_hosts(deployment, alone, {group.name: count})

    axes = (Axis(unit=group.instance_type, least=1, most=MOST_HOSTS), Axis(unit="", least=0, most=0))
    return Shape(name="aggregated Trainium", axes=axes, site=site, hourly=cost)


def text(deployment: Deployment, system_usd: float | None) -> Shape:
    """Return CS-3 systems that are handed text, and prefill by themselves."""
    base = deployed.site_of(deployment)

    def site(_: int, systems: int) -> Site:
        return replace(base, prefill=(), decode=deployed.text_side(base.model, systems))

    def cost(_: int, systems: int) -> Hourly:
        return of_systems(systems, system_usd)

    axes = (Axis(unit="", least=0, most=0), Axis(unit="CS-3", least=least_systems(base.model), most=MOST_SYSTEMS))
    return Shape(name="text handoff", axes=axes, site=site, hourly=cost)


def searched(groups: list[InstanceGroup]) -> InstanceGroup:
    """Return the group whose size is searched: the first that scales, else the first; the others stay as they are."""
    return next((group for group in groups if group.scales), groups[0])


def sized(pools: tuple[Pool, ...], name: str, count: int) -> tuple[Pool, ...]:
    """Return the pools with another count of the one called ``name``; all keep their size."""
    return tuple(replace(pool, count=count if pool.name == name else pool.count, scaling=None) for pool in pools)


def least_systems(model: Model) -> int:
    """Return how many CS-3 hold the weights and leave some room."""
    cs3 = machines().cs3
    return math.ceil(model.weight_bytes / (float(cs3.sram_gb) * float(cs3.weight_share) * _GIGA))


def current(deployment: Deployment) -> tuple[int, int]:
    """Return the sizes that the file has."""
    decode, prefill = deployment.decode, deployment.prefill
    hosts = searched(prefill.groups).count if prefill else 0
    if isinstance(decode, Cs3):
        return hosts, decode.systems or 0
    return hosts, searched(decode.groups).count if isinstance(decode, VllmDecode) else 0
