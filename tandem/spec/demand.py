"""Say how many hosts of a prefill group the prompts need: the policy's numbers, which are deployed as metric math.

All groups follow one demand, in prompt tokens a second: what comes in, with room to spare, and what works off the queue
in time. What groups of fixed size can do is taken off the demand; the rest is shared among the others by what each can
grow to, so that all reach their bounds together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from runtime.handoff import metrics
from tandem.spec.limits import prefill_speed
from tandem.spec.scaling import ASSUMED_TOKENS_PER_SECOND
from tandem.spec.workers import InstanceGroup, Prefill

_UTILIZATION: Final = 0.8
"""The share of a worker's speed to plan with: as it nears 1, queues grow without bound."""
MARGIN: Final = 1.1
"""By how much a smaller group must exceed the need before it is made; target tracking keeps as much apart."""
TARGET: Final = 100
"""The load, in percent of a group's size, that scaling keeps it at or below."""
OUT_MINUTES: Final = 3
"""How long the load must be above it: Auto Scaling's own rule for target tracking."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """Hold one group's numbers; ``brake_fill`` is None where the decode side tells no fill."""

    least: int
    part: float
    """The group's share of what can be added."""
    fixed: int
    """Prompt tokens a second of the groups of fixed size."""
    rate: int
    """Prompt tokens a second of one worker of this group."""
    queue_seconds: int
    brake_fill: float | None

    @classmethod
    def of(cls, model_id: str, prefill: Prefill, group: InstanceGroup, *, reserved: bool) -> Self:
        """Return the numbers of ``group``; ``reserved`` says whether the decode side tells how full it is."""
        whole = sum(rate(model_id, each) * each.most for each in prefill.groups if each.scales)
        return cls(
            least=group.least,
            part=round(rate(model_id, group) * group.most / whole, 6),
            fixed=sum(rate(model_id, each) * each.count for each in prefill.groups if not each.scales),
            rate=rate(model_id, group),
            queue_seconds=prefill.scaling.queue_seconds,
            brake_fill=prefill.scaling.brake_fill if reserved else None,
        )

    @property
    def a_minute(self) -> int:
        """By what the prompt tokens of a minute are divided."""
        return round(metrics.PERIOD_SECONDS * _UTILIZATION)

    def wanted(self, arriving: float, queued: float) -> float:
        """Return the hosts wanted, before bounds; ``arriving`` prompt tokens in a minute, ``queued`` waiting."""
        return self.part * (arriving / self.a_minute + queued / self.queue_seconds - self.fixed) / self.rate

    def load(self, wanted: float, hosts: int, fill: float) -> float:
        """Return the load that scales out above ``TARGET``; ``fill`` is the share of decode memory reserved."""
        load = TARGET * max(wanted, self.least) / hosts
        braked = self.brake_fill is not None and fill >= self.brake_fill and load > TARGET
        return TARGET if braked else load

    def spare(self, wanted: float, hosts: int) -> float:
        """Return the hosts to spare, of which 1 or more scale in."""
        return hosts - max(MARGIN * wanted, self.least)


def rate(model_id: str, group: InstanceGroup) -> int:
    """Return the prompt tokens that one worker of ``group`` prefills a second."""
    return prefill_speed(model_id, group) or ASSUMED_TOKENS_PER_SECOND
