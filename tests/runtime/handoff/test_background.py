"""Hold that a task beside a context ends with it, and that its failure is not lost."""

from __future__ import annotations

import asyncio

import pytest

from runtime.handoff.background import running


async def test_work_runs_beside_the_context_and_ends_with_it() -> None:
    began, ended = asyncio.Event(), []

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async with running(work()):
        await began.wait()
        assert not ended
    assert ended == ["cleaned up"]


async def test_a_failure_is_raised_at_the_end_of_the_context() -> None:
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        async with running(work()):
            await failed.wait()
