"""Calculate how many hosts of a prefill group the prompts need: the policy, as metric math.

All groups follow one demand, in prompt tokens a second: what comes in, with room to spare, and what works off the queue
in time. The queue alone would not do: it is short as long as there are enough hosts, then grows without end, so that
hosts would come and go for ever. What groups of fixed size can do is taken off the demand; the rest is shared among the
others by what each can grow to, so that all reach their bounds together. A group's size is the one that is wanted, not
what is in service: a host that is still starting is not asked for twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from constructs.compute.series import Computed, Measured
from runtime.handoff import metrics
from tandem.spec.deployment import InstanceGroup, Prefill
from tandem.spec.limits import prefill_speed
from tandem.spec.scaling import ASSUMED_TOKENS_PER_SECOND

_UTILIZATION: Final = 0.8
"""The share of a worker's speed to plan with: as it nears 1, queues grow without bound."""
_MARGIN: Final = 1.1
"""By how much a smaller group must exceed the need before it is made; target tracking keeps as much apart."""
TARGET: Final = 100
"""The load, in percent of a group's size, that scaling keeps it at or below."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Hold one group's calculations: ``load`` scales out, ``spare`` at 1 or more in; ``held`` is 1 under the brake."""

    wanted: Computed
    load: Computed
    spare: Computed
    held: Computed | None


def rate(model_id: str, group: InstanceGroup) -> int:
    """Return the prompt tokens that one worker of ``group`` prefills a second."""
    return prefill_speed(model_id, group) or ASSUMED_TOKENS_PER_SECOND


def demand(
    deployment: str, model_id: str, prefill: Prefill, group: InstanceGroup, hosts: str, *, reserved: bool
) -> Demand:
    """Return the demand of ``group``, whose Auto Scaling group is ``hosts``.

    ``reserved`` says whether the decode endpoint reports how much of its memory is reserved; where that is nearly all,
    more prefill would only wait for decode, and none is added.
    """
    size = Measured("hosts", "AWS/AutoScaling", "GroupDesiredCapacity", {"AutoScalingGroupName": hosts}, "Average")
    wanted = _wanted(deployment, model_id, prefill, group)
    needed = Computed("needed", f"IF(wanted > {group.least}, wanted, {group.least})", (wanted,), "hosts needed")
    load = Computed("load", f"{TARGET} * needed / hosts", (needed, size), "load (%)")
    spare = Computed(
        "spare",
        f"hosts - IF({_MARGIN} * wanted > {group.least}, {_MARGIN} * wanted, {group.least})",
        (size, wanted),
        "hosts to spare",
    )
    if not reserved:
        return Demand(wanted=wanted, load=load, spare=spare, held=None)
    held = _held(deployment, prefill.scaling.brake_fill, load)
    braked = Computed("braked", f"IF(held, {TARGET}, load)", (held, load), "load (%), braked by decode")
    return Demand(wanted=wanted, load=braked, spare=spare, held=held)


def _wanted(deployment: str, model_id: str, prefill: Prefill, group: InstanceGroup) -> Computed:
    dimensions = {metrics.DEPLOYMENT: deployment}
    arriving, queued = (
        Measured(name, metrics.NAMESPACE, metric.name, dimensions, metric.statistic)
        for name, metric in (("arriving", metrics.PROMPT_TOKENS), ("queued", metrics.QUEUED_PROMPT_TOKENS))
    )
    a_minute = round(metrics.PERIOD_SECONDS * _UTILIZATION)
    needed = Computed(
        "demand",
        f"arriving / {a_minute} + queued / {prefill.scaling.queue_seconds}",
        (arriving, queued),
        "prefill demand (tokens/s)",
    )
    part = _part(model_id, prefill, group)
    fixed = sum(rate(model_id, each) * each.count for each in prefill.groups if not each.scales)
    return Computed("wanted", f"{part} * (demand - {fixed}) / {rate(model_id, group)}", (needed,), "hosts wanted")


def _part(model_id: str, prefill: Prefill, group: InstanceGroup) -> float:
    """Return the group's share of what can be added, by what it can grow to."""
    whole = sum(rate(model_id, each) * each.most for each in prefill.groups if each.scales)
    return round(rate(model_id, group) * group.most / whole, 6)


def _held(deployment: str, brake_fill: float, load: Computed) -> Computed:
    metric = metrics.RESERVATION_FILL
    fill = Measured("fill", metrics.NAMESPACE, metric.name, {metrics.DEPLOYMENT: deployment}, metric.statistic)
    # an endpoint that stops telling its fill must not stop scaling
    expression = f"IF(FILL(fill, 0) >= {brake_fill} AND load > {TARGET}, 1, 0)"
    return Computed("held", expression, (fill, load), "held by decode")
