"""Write how many hosts of a prefill group the prompts need as metric math; the numbers are tandem.spec.demand's.

The queue alone would not do: it is short as long as there are enough hosts, then grows without end, so that hosts would
come and go for ever. A group's size is the one that is wanted, not what is in service: a host that is still starting is
not asked for twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from constructs.compute.series import Computed, Measured
from runtime.handoff import metrics
from tandem.spec import demand as policy
from tandem.spec.demand import MARGIN, TARGET
from tandem.spec.workers import InstanceGroup, Prefill


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Hold one group's calculations: ``load`` scales out, ``spare`` at 1 or more in; ``held`` is 1 under the brake."""

    wanted: Computed
    load: Computed
    spare: Computed
    held: Computed | None


def demand(
    deployment: str, model_id: str, prefill: Prefill, group: InstanceGroup, hosts: str, *, reserved: bool
) -> Demand:
    """Return the demand of ``group``, whose Auto Scaling group is ``hosts``.

    ``reserved`` says whether the decode endpoint reports how much of its memory is reserved; where that is nearly all,
    more prefill would only wait for decode, and none is added.
    """
    size = Measured("hosts", "AWS/AutoScaling", "GroupDesiredCapacity", {"AutoScalingGroupName": hosts}, "Average")
    numbers = policy.Demand.of(model_id, prefill, group, reserved=reserved)
    wanted, least = _wanted(deployment, numbers), numbers.least
    needed = Computed("needed", f"IF(wanted > {least}, wanted, {least})", (wanted,), "hosts needed")
    load = Computed("load", f"{TARGET} * needed / hosts", (needed, size), "load (%)")
    spare = Computed(
        "spare",
        f"hosts - IF({MARGIN} * wanted > {least}, {MARGIN} * wanted, {least})",
        (size, wanted),
        "hosts to spare",
    )
    if numbers.brake_fill is None:
        return Demand(wanted=wanted, load=load, spare=spare, held=None)
    held = _held(deployment, numbers.brake_fill, load)
    braked = Computed("braked", f"IF(held, {TARGET}, load)", (held, load), "load (%), braked by decode")
    return Demand(wanted=wanted, load=braked, spare=spare, held=held)


def _wanted(deployment: str, numbers: policy.Demand) -> Computed:
    dimensions = {metrics.DEPLOYMENT: deployment}
    arriving, queued = (
        Measured(name, metrics.NAMESPACE, metric.name, dimensions, metric.statistic)
        for name, metric in (("arriving", metrics.PROMPT_TOKENS), ("queued", metrics.QUEUED_PROMPT_TOKENS))
    )
    needed = Computed(
        "demand",
        f"arriving / {numbers.a_minute} + queued / {numbers.queue_seconds}",
        (arriving, queued),
        "prefill demand (tokens/s)",
    )
    return Computed(
        "wanted", f"{numbers.part} * (demand - {numbers.fixed}) / {numbers.rate}", (needed,), "hosts wanted"
    )


def _held(deployment: str, brake_fill: float, load: Computed) -> Computed:
    metric = metrics.RESERVATION_FILL
    fill = Measured("fill", metrics.NAMESPACE, metric.name, {metrics.DEPLOYMENT: deployment}, metric.statistic)
    # an endpoint that stops telling its fill must not stop scaling
    expression = f"IF(FILL(fill, 0) >= {brake_fill} AND load > {TARGET}, 1, 0)"
    return Computed("held", expression, (fill, load), "held by decode")
