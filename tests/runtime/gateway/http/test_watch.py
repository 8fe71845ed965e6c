"""A time that moves is watched by few timers."""

from __future__ import annotations

import asyncio

import pytest

from runtime.gateway.http.watch import Watch


class Loop:
    """Stand in for a loop whose time a test sets; it keeps the timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_at(self, at: float, then: object) -> Timer:
        """Keep a timer."""
        assert callable(then)
        self.timers.append(Timer(at, then))
        return self.timers[-1]

    def go_on(self, now: float) -> None:
        """Run what is due by then, in order."""
        while due := [timer for timer in self.timers if timer.at <= now and not timer.over]:
            timer = min(due, key=Timer.when)
            self.now, timer.over = timer.at, True
            timer.then()
        self.now = now


class Timer:
    """Hold a timer."""

    def __init__(self, at: float, then: object) -> None:
        self.at, self.over = at, False
        self.then = then if callable(then) else lambda: None

    def when(self) -> float:
        """Return its time."""
        return self.at

    def cancel(self) -> None:
        """Run nothing."""
        self.over = True


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


def test_what_moves_forward_sets_no_timer_until_the_first_has_ended(loop: Loop) -> None:
    late: list[float] = []
    watch = Watch(lambda: late.append(loop.now))
    for moment in range(100):
        loop.go_on(moment / 10)
        watch.until(loop.now + 10)
    assert len(loop.timers) == 1
    loop.go_on(100)
    assert (late, len(loop.timers)) == ([19.9], 2)


def test_an_earlier_time_counts_at_once_and_a_later_one_takes_its_place(loop: Loop) -> None:
    late: list[float] = []
    watch = Watch(lambda: late.append(loop.now))
    watch.until(600)
    watch.until(10)
    loop.go_on(20)
    watch.until(5000)
    watch.until(30)
    watch.until(40)
    loop.go_on(100)
    assert late == [10, 40]


def test_what_is_off_or_closed_is_never_late(loop: Loop) -> None:
    watch = Watch(lambda: pytest.fail("late"))
    watch.until(10)
    watch.off()
    loop.go_on(20)
    watch.until(30)
    watch.close()
    loop.go_on(40)
    assert all(timer.over for timer in loop.timers)
