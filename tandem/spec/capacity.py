"""Model how an instance group comes by its hosts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints

from tandem.spec.patterns import Zone
from tandem.spec.section import Section

_RESERVATION = r"cr-[0-9a-f]{8,17}"
_GROUP = r"arn:aws[a-z-]*:resource-groups:[a-z0-9-]+:[0-9]{12}:group/[A-Za-z0-9._/-]+"
ReservationId = Annotated[str, StringConstraints(pattern=rf"^{_RESERVATION}$")]
ResourceGroupArn = Annotated[str, StringConstraints(pattern=rf"^{_GROUP}$")]
ReservationTarget = Annotated[str, StringConstraints(pattern=rf"^({_RESERVATION}|{_GROUP})$")]
TERMINATION_LEAD_MINUTES = 30
"""How long before a block's end EC2 begins to terminate its instances (EC2 user guide, capacity-blocks)."""
_FIRST = datetime(2023, 10, 31, tzinfo=UTC)
"""When EC2 first sold Capacity Blocks: an earlier end is a slip of the pen."""


_STOP_SECONDS = 120
"""The longest that ECS documents between SIGTERM and SIGKILL (aws/containers-roadmap#1808)."""
_SPOT_STOP_SECONDS = 90
"""Of the two minutes between a Spot notice and the end, ECS takes some to hear of it and to drain the host."""
_END_SECONDS = 15
"""What a drain leaves of the stop time-out, for vLLM's own end."""


def _moment(value: Any) -> Any:
    """Read ISO 8601 text, which a YAML file gives where the timestamp is quoted; leave the rest to the type."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(moment, datetime) and (moment.utcoffset() != timedelta(0) or moment < _FIRST):
        raise ValueError("a UTC time since Capacity Blocks exist (2023-10-31), such as 2027-01-31T11:30:00Z")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]


class OnDemand(Section):
    """Take hosts as EC2 has them; where it has none, the group waits."""

    mode: Literal["on-demand"]


class Spot(Section):
    """Take Spot hosts at up to the on-demand price; EC2 may take one back two minutes after it says so."""

    mode: Literal["spot"]


class Reservation(Section):
    """Take hosts from an On-Demand Capacity Reservation, or a resource group of several, and from nowhere else."""

    mode: Literal["reservation"]
    target: Annotated[ReservationTarget, Field(description="the reservation's id, or a resource group's ARN")]
    zone: Annotated[Zone, Field(description="where the reservation is")]


class _Block(Section):
    """Take hosts from capacity that ends: the group is emptied ``lead_minutes`` before."""

    zone: Annotated[Zone, Field(description="where the block is")]
    ends_at: Annotated[Moment, Field(description="when the block ends, in UTC")]
    lead_minutes: Annotated[
        int, Field(gt=TERMINATION_LEAD_MINUTES, le=1440, description="how long before the end hosts drain")
    ] = 60

    @property
    def scale_in_at(self) -> datetime:
        """When the group begins to empty; EC2 itself terminates hosts half an hour before the end."""
        return self.ends_at - timedelta(minutes=self.lead_minutes)


class CapacityBlock(_Block):
    """Take hosts from one EC2 Capacity Block of single instances."""

    mode: Literal["capacity-block"]
    reservation_id: Annotated[ReservationId, Field(description="the block's capacity reservation")]


class UltraServerBlock(_Block):
    """Take hosts from a Capacity Block of UltraServers, each of them four instances."""

    mode: Literal["ultraserver-block"]
    resource_group: Annotated[ResourceGroupArn, Field(description="the resource group of the block's reservations")]


Capacity = Annotated[OnDemand | Spot | Reservation | CapacityBlock | UltraServerBlock, Field(discriminator="mode")]


def stop_seconds(capacity: Capacity) -> int:
    """Return how long ECS lets a worker stop before it kills it."""
    return _SPOT_STOP_SECONDS if isinstance(capacity, Spot) else _STOP_SECONDS


def drain_seconds(capacity: Capacity) -> int:
    """Return how long a worker that stops waits for its requests and for readers of its KV."""
    return stop_seconds(capacity) - _END_SECONDS
