"""Let prefill groups grow and shrink as the deployed policies have them, minute by minute.

Auto Scaling's part is what its user guide says: tracking adds hosts in proportion once the load was above its target
for three minutes; an alarm that stays on takes one, and the policy rests for its cooldown. Metrics are read at each
minute's end, where the gateways publish the mean of a minute.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from runtime.handoff.metrics import PERIOD_SECONDS
from tandem.simulation.gateway import Fleet, Gateway
from tandem.simulation.loop import Loop
from tandem.simulation.meter import Meter
from tandem.simulation.prefill import PrefillWorker
from tandem.simulation.site import Scaling
from tandem.spec.demand import OUT_MINUTES, TARGET

_SPARE: Final = 1.0


class Group:
    """Hold one group: ``workers`` are as many as it may grow to, of which the first ``size`` are wanted."""

    def __init__(self, loop: Loop, scaling: Scaling, workers: Sequence[PrefillWorker], size: int, meter: Meter) -> None:
        self._loop, self._scaling, self._workers, self._meter = loop, scaling, workers, meter
        self.size = size
        self._high: deque[bool] = deque(maxlen=OUT_MINUTES)
        self._spare: deque[bool] = deque(maxlen=scaling.scale_in_minutes)
        self._rests_until = 0.0
        self._asked: dict[int, float] = {}
        for worker in workers[size:]:
            worker.serving = False

    def minute(self, arriving: float, queued: float, fill: float) -> None:
        """Scale by what was measured over the last minute."""
        now, demand = self._loop.now, self._scaling.demand
        self._meter.add(now - PERIOD_SECONDS, now, self.size)
        wanted = demand.wanted(arriving, queued)
        load = demand.load(wanted, self.size, fill)
        self._high.append(load > TARGET)
        self._spare.append(demand.spare(wanted, self.size) >= _SPARE)
        if len(self._high) == OUT_MINUTES and all(self._high):
            self._resize(math.ceil(self.size * load / TARGET))
        elif len(self._spare) == self._spare.maxlen and all(self._spare) and now >= self._rests_until:
            self._resize(self.size - 1)
            self._rests_until = now + self._scaling.scale_in_minutes * 60

    def _resize(self, size: int) -> None:
        """Ask for hosts, which serve once they have started; one that goes is drained of what it has."""
        before, self.size = self.size, min(size, len(self._workers))
        for index in range(before, self.size):
            self._asked[index] = self._loop.now
            self._loop.at(self._loop.now + self._scaling.start_seconds, self._started, (index, self._loop.now))
        for worker in self._workers[self.size : before]:
            worker.serving = False

    def _started(self, host: tuple[int, float]) -> None:
        index, asked = host
        if index < self.size and self._asked[index] == asked:
            self._workers[index].serving = True


def follow(loop: Loop, groups: Sequence[Group], gateways: Sequence[Gateway], fleet: Fleet, span: float) -> None:
    """Have ``groups`` follow what the gateways send to prefill, until ``span``."""

    def minute(_: None) -> None:
        arriving = sum(gateway.take_arrived() for gateway in gateways)
        queued = sum(gateway.queued_tokens for gateway in gateways)
        fill = max(endpoint.fill for endpoint in fleet.endpoints)
        for group in groups:
            group.minute(arriving, queued, fill)
        if loop.now + PERIOD_SECONDS <= span:
            loop.at(loop.now + PERIOD_SECONDS, minute)

    if groups and span >= PERIOD_SECONDS:
        loop.at(PERIOD_SECONDS, minute)
