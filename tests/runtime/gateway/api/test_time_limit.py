"""A gateway that is told to stop lets requests go on for a while, then ends them in words."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from runtime.gateway.api.time_limit import Stopping, TimeLimit
from runtime.handoff.contract import CHAT_COMPLETIONS, RESERVATIONS, Code, HandoffError
from tests.runtime.gateway.conftest import Captured, Setup
from tests.runtime.gateway.standin_peers import CHUNKS


async def test_a_stream_that_takes_longer_ends_with_an_event_and_frees_what_it_held(cs3: Setup, log: Captured) -> None:
    cs3.decode.waits_after_first = True
    async with cs3.ask(stream=True) as answer:
        received = await answer.content.readuntil(b"\n\n")
        cs3.gateway.stopping.begin(0)
        received += await answer.read()
    assert received.startswith(CHUNKS[0])
    error = json.loads(received[len(CHUNKS[0]) :].removeprefix(b"data: "))["error"]
    assert (error["code"], "comes to another one" in error["message"]) == ("stopping", True)
    await cs3.decode.wait(lambda: cs3.decode.left == ["stream"])
    assert log.requests()[0]["code"] == "stopping"


async def test_what_has_no_bytes_out_yet_is_503_and_its_reservation_is_withdrawn(cs3: Setup) -> None:
    cs3.prefill.hold(CHAT_COMPLETIONS)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(status(cs3))
        await cs3.prefill.wait(lambda: bool(cs3.prefill.seen))
        cs3.gateway.stopping.begin(0)
    assert asking.result() == (503, "stopping")
    await cs3.decode.wait(lambda: f"DELETE {RESERVATIONS}/r/1" in cs3.decode.calls())


async def test_what_ends_in_time_is_not_touched(cs3: Setup) -> None:
    cs3.decode.waits_after_first = True
    async with cs3.ask(stream=True) as answer:
        received = await answer.content.readuntil(b"\n\n")
        cs3.gateway.stopping.begin(60)
        cs3.decode.hold("stream").set()
        assert received + await answer.read() == b"".join(CHUNKS)


async def test_a_client_s_own_time_may_end_sooner() -> None:
    stopping = Stopping()
    loop = asyncio.get_running_loop()
    limit = TimeLimit(soon := loop.time() + 30, stopping)
    stopping.begin(60)
    assert limit.at == soon
    limit.end()
    assert not stopping.over


async def test_a_cancellation_by_somebody_else_stays_one_though_the_time_is_over_as_well() -> None:
    stopping, refused = Stopping(), list[tuple[bool, Code]]()

    async def limited(*, gone: bool) -> None:
        limit = TimeLimit(asyncio.get_running_loop().time() + 3600, stopping)
        try:
            with limit:
                begun.set()
                await asyncio.Event().wait()
        except HandoffError as error:
            refused.append((gone, error.code))
            await asyncio.sleep(0)  # the task is not cancelled any more
        finally:
            limit.end()

    for gone in (True, False):
        begun = asyncio.Event()
        task = asyncio.create_task(limited(gone=gone))
        await begun.wait()
        for limit in stopping.limits:
            limit.bring_forward(0)
        await asyncio.sleep(0)
        if gone:
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is gone
    assert (refused, stopping.limits) == ([(False, Code.DEADLINE_EXCEEDED)], set())


async def test_limits_that_share_a_timer_end_each_at_its_own_time() -> None:
    stopping, ended = Stopping(), list[float]()

    async def limited(seconds: float) -> None:
        limit = TimeLimit(asyncio.get_running_loop().time() + seconds, stopping)
        try:
            with limit:
                await asyncio.Event().wait()
        except HandoffError:
            ended.append(seconds)
        finally:
            limit.end()

    forever = asyncio.create_task(limited(3600))
    await asyncio.gather(*(limited(seconds) for seconds in (0.03, 0.01, 0.02)))
    assert (ended, {limit.over for limit in stopping.limits}) == ([0.01, 0.02, 0.03], {False})
    stopping.begin(0)
    await forever
    assert (ended[-1], stopping.limits) == (3600, set())


async def test_what_is_over_does_not_begin() -> None:
    limit = TimeLimit(0, Stopping())
    with pytest.raises(HandoffError, match="longer than it may"), limit:
        raise AssertionError("it began")
    limit.end()


async def test_what_begins_later_ends_no_later(cs3: Setup) -> None:
    cs3.gateway.stopping.begin(0)
    assert await status(cs3) == (503, "stopping")
    assert cs3.decode.seen == []


async def status(setup: Setup) -> Any:
    async with setup.ask() as answer:
        return answer.status, (await answer.json())["error"]["code"]
