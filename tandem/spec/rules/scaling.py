"""Check the bounds between which groups and gateway are scaled."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.spec.capacity import CapacityBlock, Reservation, UltraServerBlock
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity
from tandem.spec.limits import prefill_speed
from tandem.spec.scaling import ASSUMED_TOKENS_PER_SECOND
from tandem.spec.stages import groups


def count_within_bounds(deployment: Deployment) -> Iterator[Finding]:
    """Require a first size between the bounds, and so bounds that do not contradict each other."""
    for path, group in groups(deployment):
        if group.least > group.count:
            yield Finding(
                code="count-below-minimum",
                path=f"{path}.min_count",
                got=str(group.least),
                allowed=f"at most count ({group.count}), with which the group begins",
                change="raise count, or lower min_count",
            )
        if group.most < group.count:
            yield Finding(
                code="count-above-maximum",
                path=f"{path}.max_count",
                got=str(group.most),
                allowed=f"at least count ({group.count}), with which the group begins",
                change="lower count, or raise max_count",
            )


def gateway_bounds_ordered(deployment: Deployment) -> Iterator[Finding]:
    """Require that the gateway's least be no more than its most."""
    gateway = deployment.gateway
    if gateway.min_count > gateway.max_count:
        yield Finding(
            code="gateway-bounds-reversed",
            path="gateway.min_count",
            got=str(gateway.min_count),
            allowed=f"at most gateway.max_count ({gateway.max_count})",
            change="change one of the two; equal ones keep the size fixed",
        )


def decode_fixed(deployment: Deployment) -> Iterator[Finding]:
    """Refuse bounds on decode: a decode worker holds the KV of every answer under way, so only prefill is scaled."""
    for path, group in groups(deployment):
        if path.startswith("decode.") and group.scales:
            yield Finding(
                code="decode-scaled",
                path=path,
                got=f"{group.least} to {group.most} hosts",
                allowed="a fixed count; queued prompts, by which groups are scaled, are work for prefill",
                change="remove min_count and max_count",
            )


def ultraservers_fixed(deployment: Deployment) -> Iterator[Finding]:
    """Refuse to scale a group of UltraServers: hosts come and go singly, an UltraServer is four."""
    for path, group in groups(deployment):
        if isinstance(group.capacity, UltraServerBlock) and group.scales:
            yield Finding(
                code="ultraserver-scaled",
                path=path,
                got=f"{group.least} to {group.most} hosts",
                allowed="a fixed count: an UltraServer is used whole, and its block is paid for in advance",
                change="remove min_count and max_count",
            )


def paid_capacity_used(deployment: Deployment) -> Iterator[Finding]:
    """Warn where hosts would be given up that cost the same when they stand idle."""
    for path, group in groups(deployment):
        if isinstance(group.capacity, CapacityBlock | Reservation) and group.scales:
            yield Finding(
                code="paid-capacity-idle",
                path=path,
                got=f"{group.least} to {group.most} hosts of a {group.capacity.mode}",
                allowed="a fixed count of what is paid for, or the wish to share it with others",
                change="set count to the reserved number, and scale an on-demand group beside it",
                severity=Severity.WARNING,
            )


def worker_speed_known(deployment: Deployment) -> Iterator[Finding]:
    """Warn where the number of hosts follows from a speed that nobody has measured."""
    for path, group in groups(deployment):
        if path.startswith("prefill.") and group.scales and group.tokens_per_second is None:
            speed = prefill_speed(deployment.model.id, group) or ASSUMED_TOKENS_PER_SECOND
            yield Finding(
                code="worker-speed-assumed",
                path=f"{path}.tokens_per_second",
                got=f"nothing, so {speed} prompt tokens a second of each worker",
                allowed="what one worker of this group prefills of your prompts, measured",
                change="measure it (docs/scaling.md) and set it: too high a figure adds hosts too late",
                severity=Severity.WARNING,
            )
