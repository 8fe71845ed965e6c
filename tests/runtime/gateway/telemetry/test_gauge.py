"""A level's mean over a period, and a fair sample of one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from runtime.gateway.telemetry.gauge import Gauge
from runtime.gateway.telemetry.sample import Sample


@dataclass
class Clock:
    """Return the time that a test sets."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_the_mean_weighs_each_level_by_its_time() -> None:
    clock = Clock()
    gauge = Gauge(clock)
    gauge.rise(100)
    clock.now += 15
    gauge.rise(20)
    assert gauge.level == 120
    clock.now += 30
    gauge.fall(120)
    clock.now += 15
    assert gauge.take_mean() == pytest.approx((15 * 100 + 30 * 120) / 60)
    assert (gauge.level, gauge.take_mean()) == (0, 0)


def test_what_lasts_longer_than_a_period_counts_in_each() -> None:
    clock = Clock()
    gauge = Gauge(clock)
    gauge.rise(8)
    clock.now += 60
    assert gauge.take_mean() == 8
    clock.now += 30  # a program that ends in mid-period: half of it
    assert gauge.take_mean() == 4


def test_what_came_in_is_told_once_whatever_went_out_again() -> None:
    gauge = Gauge()
    gauge.rise(8)
    gauge.fall(8)
    gauge.rise(5)
    assert (gauge.take_raised(), gauge.level) == (13, 5)
    assert gauge.take_raised() == 0


def test_a_sample_is_bounded_and_fair() -> None:
    kept: Counter[int] = Counter()
    for _ in range(2000):
        sample: Sample[int] = Sample(5)
        for item in range(20):
            sample.offer(item)
        assert len(sample.items) == 5
        kept.update(sample.items)
    # each of 20 is kept in a quarter of 2,000 runs: 500, with a standard deviation of 19
    assert all(380 < kept[item] < 620 for item in range(20)), kept
