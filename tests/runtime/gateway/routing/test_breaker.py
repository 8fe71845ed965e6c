"""When a peer is asked no more, and when again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.routing.breaker import Breaker

CLOSED = Breaker(failures=3, first_seconds=2, most_seconds=10)


def opened(now: float = 0.0) -> Breaker:
    return CLOSED.fail(now).fail(now).fail(now)


def test_it_opens_after_failures_in_a_row() -> None:
    two = CLOSED.fail(0).fail(0)
    assert two.admits(0)
    assert two.succeeded().fail(0).fail(0).admits(0)
    assert not opened().admits(1.9)


def test_after_a_while_one_request_tries_again() -> None:
    half = opened()
    assert half.admits(2)
    asked = half.asked(2)
    assert not asked.admits(3.9)
    assert asked.admits(4)  # one whose answer never came does not keep it shut
    assert asked.succeeded().admits(2)


def test_an_answer_that_began_closes_it_and_one_that_ended_well_forgives() -> None:
    begun = opened().asked(2).answered()
    assert begun.admits(2)
    assert not begun.fail(2).admits(5.9)  # twice as long
    assert begun.succeeded().fail(2).admits(2)


def test_a_closed_one_asks_as_often_as_it_likes() -> None:
    assert CLOSED.asked(0) == CLOSED


def test_each_failure_of_a_trial_doubles_the_time_up_to_a_bound() -> None:
    breaker, now, waited = opened(), 0.0, []
    for _ in range(5):
        assert breaker.open_until is not None
        waited.append(breaker.open_until - now)
        now = breaker.open_until
        breaker = breaker.asked(now).fail(now)
    assert waited == [2, 4, 8, 10, 10]


@given(st.lists(st.sampled_from(["asked", "fail", "succeeded"]), max_size=200))
def test_it_never_stays_shut_longer_than_its_bound(steps: list[str]) -> None:
    breaker = CLOSED
    for step in steps:
        breaker = breaker.succeeded() if step == "succeeded" else getattr(breaker, step)(0.0)
        assert breaker.admits(CLOSED.most_seconds)


def test_what_was_under_way_as_it_opened_does_not_keep_it_shut_for_longer() -> None:
    breaker = opened()
    for _ in range(50):  # streams that one crash broke
        breaker = breaker.fail(0.1)
    assert breaker.admits(2)
