"""A bucket never lets more pass than its rate, and tells truly when it will let something pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.admission.bucket import Bucket, capacity

RATES = st.floats(0.5, 1e6)
STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5000)), max_size=40)


@given(RATES, STEPS)
def test_over_any_span_no_more_passes_than_the_bucket_and_its_rate_and_one_request(
    rate: float, steps: list[tuple[float, int]]
) -> None:
    bucket, now = Bucket(), 1e6
    passed: list[tuple[float, int]] = []
    for gap, amount in steps:
        now += gap
        if bucket.wait(amount, rate, now) == 0:
            bucket.take(amount, rate, now)
            passed.append((now, amount))
    for first, (begin, _) in enumerate(passed):
        for last in range(first, len(passed)):
            end, largest = passed[last][0], max(amount for _, amount in passed[first : last + 1])
            total = sum(amount for _, amount in passed[first : last + 1])
            allowed = max(capacity(rate), largest) + rate / 60 * (end - begin) + largest
            assert total <= allowed * (1 + 1e-5)


@given(RATES, STEPS, st.integers(1, 5000))
def test_whoever_waits_as_told_passes_and_not_much_sooner(
    rate: float, steps: list[tuple[float, int]], amount: int
) -> None:
    bucket, now = Bucket(), 1e6
    for gap, taken in steps:
        now += gap
        if bucket.wait(taken, rate, now) == 0:
            bucket.take(taken, rate, now)
    wait = bucket.wait(amount, rate, now)
    assert bucket.wait(amount, rate, now + wait) == 0
    if wait > 0.01:
        assert bucket.wait(amount, rate, now + wait * 0.9) > 0


def test_a_small_rate_still_lets_one_pass() -> None:
    bucket = Bucket()
    assert bucket.wait(1, 1, 0.0) == 0
    bucket.take(1, 1, 0.0)
    assert bucket.wait(1, 1, 15.0) == pytest.approx(45)


def test_what_is_larger_than_the_bucket_is_paid_for_afterwards() -> None:
    bucket = Bucket()
    bucket.take(1000, 60, 0.0)
    assert bucket.wait(1, 60, 0.0) == pytest.approx(1000 - 10 + 1)


def test_what_was_taken_for_nothing_comes_back_once() -> None:
    bucket = Bucket()
    bucket.take(10, 60, 0.0)
    bucket.give_back(10)
    bucket.give_back(10)
    assert bucket.owed == 0
