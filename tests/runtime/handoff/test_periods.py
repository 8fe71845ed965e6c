"""Once a minute by the clock, and once at the end."""

from __future__ import annotations

import asyncio

import pytest

from runtime.handoff import periods
from tests.patience import HUNG_SECONDS


@pytest.mark.parametrize(("now", "left"), [(0.0, 60.0), (59.5, 0.5), (90.0, 30.0), (1_800_000_001.0, 59.0)])
def test_a_period_ends_with_the_clock_s_minute(now: float, left: float) -> None:
    assert periods.remaining(now) == left


async def test_each_period_is_published_and_the_last_one_on_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periods, "remaining", lambda _: 0.01)
    began: list[float] = []
    several = asyncio.Event()

    async def publish(since: float) -> None:
        began.append(since)
        if len(began) == 3:
            several.set()

    async with periods.publishing(publish):
        await asyncio.wait_for(several.wait(), HUNG_SECONDS)
    assert len(began) >= 3
    assert began == sorted(began)


async def test_a_program_that_ends_early_still_publishes_once() -> None:
    began: list[float] = []

    async def publish(since: float) -> None:
        began.append(since)

    async with periods.publishing(publish):
        await asyncio.sleep(0)
    assert len(began) == 1


async def test_a_publisher_that_fails_ends_no_program_silently() -> None:
    async def publish(_: float) -> None:
        raise OSError("stdout is gone")

    with pytest.raises(OSError, match="stdout is gone"):
        async with periods.publishing(publish):
            await asyncio.sleep(0)
