"""A gateway that is told to stop lets requests go on for a while, then ends them in words."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from runtime.gateway.stopping import Stopping
from runtime.handoff.contract import CHAT_COMPLETIONS, RESERVATIONS
from tests.runtime.gateway.conftest import Captured, Setup
from tests.runtime.gateway.peers import CHUNKS


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
    async with asyncio.timeout_at(soon := loop.time() + 30) as limit:
        with stopping.ends(limit):
            stopping.begin(60)
            assert limit.when() == soon
    assert not stopping.over


async def test_what_begins_later_ends_no_later(cs3: Setup) -> None:
    cs3.gateway.stopping.begin(0)
    assert await status(cs3) == (503, "stopping")
    assert cs3.decode.seen == []


async def status(setup: Setup) -> Any:
    async with setup.ask() as answer:
        return answer.status, (await answer.json())["error"]["code"]
