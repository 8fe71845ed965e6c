"""Let one group of prefill hosts live through a load, by the policies that a template deploys.

Auto Scaling's part is what its user guide says: tracking adds hosts in proportion once the metric was above its target
for three minutes; an alarm that stays on repeats its action; a simple policy rests for its cooldown; neither leaves the
bounds. Work is a fluid: prompt tokens come in, wait, and are prefilled by the hosts that are ready.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.constructs.compute.metric_math import evaluate
from tests.templates import only, resources

_OUT_MINUTES = 3
Load = Callable[[int], float]
"""Something a minute: prompt tokens a second, or a share of decode memory."""


@dataclass
class Fleet:
    """Hold a group's state; ``speed`` is what a worker really prefills a second, ``start`` the minutes one takes."""

    template: dict[str, Any]
    speed: float
    start: int = 20
    prompt: float = 2000.0
    queue: float = 0.0
    sizes: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        group = only(self.template, "AWS::AutoScaling::AutoScalingGroup")
        self.size, self.most = int(group["DesiredCapacity"]), int(group["MaxSize"])
        policies = resources(self.template, "AWS::AutoScaling::ScalingPolicy").values()
        [self._out] = [each for each in policies if each["PolicyType"] == "TargetTrackingScaling"]
        [self._in] = [each for each in policies if each["PolicyType"] == "SimpleScaling"]
        self._alarm = only(self.template, "AWS::CloudWatch::Alarm")
        self._ready_at = [0] * self.size
        self._high: deque[float] = deque(maxlen=_OUT_MINUTES)
        self._spare: deque[bool] = deque(maxlen=self._alarm["EvaluationPeriods"])
        self._rests_until = 0

    def live(self, minutes: int, load: Load, fill: Load | None = None) -> None:
        """Go on for some minutes under ``load``."""
        for minute in range(len(self.sizes), len(self.sizes) + minutes):
            measured = self._work(minute, load(minute))
            if fill:
                measured["ReservationFill"] = fill(minute)
            self._scale(minute, measured)
            self.sizes.append(self.size)

    def _work(self, minute: int, rate: float) -> dict[str, float]:
        capacity = self.speed * sum(ready <= minute for ready in self._ready_at)
        waiting = max(0.0, self.queue + 60 * (rate - capacity))
        served, mean = (self.queue + 60 * rate - waiting) / 60, (self.queue + waiting) / 2
        self.queue = waiting
        self.waits.append(mean / capacity if capacity else math.inf)
        inside = served * self.prompt / self.speed
        return {
            "PromptTokens": 60 * rate,
            "QueuedPromptTokens": mean + inside,
            "GroupDesiredCapacity": self.size,
        }

    def _scale(self, minute: int, measured: Mapping[str, float | None]) -> None:
        tracking = self._out["TargetTrackingConfiguration"]
        value = evaluate(tracking["CustomizedMetricSpecification"]["Metrics"], measured)
        target = tracking["TargetValue"]
        self._high.append(value if value is not None else 0.0)
        if len(self._high) == _OUT_MINUTES and all(each > target for each in self._high):
            self._resize(math.ceil(self.size * self._high[-1] / target), minute)
        spare = evaluate(self._alarm["Metrics"], measured)
        self._spare.append(spare is not None and spare >= self._alarm["Threshold"])
        if len(self._spare) == self._spare.maxlen and all(self._spare) and minute >= self._rests_until:
            self._resize(self.size + self._in["ScalingAdjustment"], minute)
            self._rests_until = minute + int(self._in["Cooldown"]) // 60

    def _resize(self, wanted: int, minute: int) -> None:
        self.size = min(max(wanted, 0), self.most)
        del self._ready_at[self.size :]
        self._ready_at += [minute + self.start] * (self.size - len(self._ready_at))
