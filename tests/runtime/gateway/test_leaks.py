"""After more than a thousand requests, good, bad and abandoned, nothing is left: task, socket, reservation, object."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from pathlib import Path

from aiohttp import web

from runtime.handoff import fields
from runtime.handoff.contract import RESERVATIONS
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.conftest import Captured, Setup
from tests.runtime.gateway.standin_peers import Seen
from tests.runtime.gateway.telemetry.test_metrics import sample

ROUNDS, AT_ONCE = 5, 16
BUSY = web.json_response({"error": {"message": "full", "code": "capacity"}}, status=429)
LOST = web.json_response({"error": {"message": "the READ failed", "code": "kv_transfer"}}, status=502)
BLAMED = web.json_response({"error": {"message": "no", "code": "invalid_request"}}, status=400)
FAULTS: tuple[dict[str, web.Response], ...] = ({}, {"reserve": BUSY}, {"decode": LOST}, {"prefill": BLAMED})
"""None of them opens a circuit breaker, which would keep the next requests from the peers."""
OBJECTS = 500
"""How many more may be there than after the second crowd, of 640 requests since: connections come and go by a few.

The first one leaves what is made once, some 300 objects.
"""


async def whole(setup: Setup) -> None:
    async with setup.ask() as answer:
        await answer.read()


async def streamed(setup: Setup) -> None:
    async with setup.ask(stream=True, temperature=0) as answer:
        await answer.read()


async def refused(setup: Setup) -> None:
    async with setup.ask(messages=[]) as answer:
        assert answer.status == 400


async def left_while_it_streams(setup: Setup) -> None:
    async with setup.ask(stream=True) as answer:
        await answer.content.readany()
        answer.close()


async def left_at_once(setup: Setup) -> None:
    asking = asyncio.create_task(whole(setup))
    await asyncio.sleep(0.002)
    asking.cancel()
    await asyncio.wait([asking])


WAYS = (whole, streamed, refused, left_while_it_streams, left_at_once)


async def crowd(setup: Setup) -> None:
    """Have each way gone many times, with peers that are well, full, and failing in turn."""
    for fault in FAULTS:
        setup.decode.errors = setup.prefill.errors = fault
        for turn in range(ROUNDS):
            await asyncio.gather(*(WAYS[(turn + number) % len(WAYS)](setup) for number in range(AT_ONCE)))
        await idle(setup)
        assert not held(setup)
        setup.decode.seen.clear()
        setup.prefill.seen.clear()


async def idle(setup: Setup) -> None:
    """Wait until the gateway says that nothing is under way, and its clean-ups have ended."""
    async with asyncio.timeout(HUNG_SECONDS):
        while sample(setup, "dynamo_frontend_active_requests"):
            await asyncio.sleep(0.005)
    await setup.releases.drain()


def held(setup: Setup) -> set[str]:
    """Return the attempts that were granted a reservation, and neither decoded nor gave it back."""
    if "reserve" in setup.decode.errors:
        return set()
    granted = {name(seen) for seen in setup.decode.seen if seen.path == RESERVATIONS}
    assert granted >= {name(seen) for seen in setup.prefill.seen}
    assert len(granted) > ROUNDS * AT_ONCE // 2
    return granted - {name(seen) for seen in setup.decode.seen if seen.path != RESERVATIONS}


def name(seen: Seen) -> str:
    return seen.headers[fields.REQUEST_ID_HEADER]


def sockets() -> int:
    files = Path("/proc/self/fd")
    targets = Counter(os.readlink(file).partition(":")[0] for file in files.iterdir() if file.is_symlink())
    return targets["socket"]


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


async def test_nothing_is_left_of_a_thousand_requests(cs3: Setup, log: Captured) -> None:
    tasks: list[int] = []
    known: list[int] = []
    for _ in range(4):
        await crowd(cs3)
        assert (cs3.metrics.streams.level, cs3.metrics.queued.level, cs3.gateway.bodies.held) == (0, 0, 0)
        assert sample(cs3, "dynamo_frontend_queued_requests") == 0
        log.text()
        log._lines.clear()
        tasks.append(len(asyncio.all_tasks()))
        known.append(objects())
    assert tasks[-1] <= tasks[0] + AT_ONCE, tasks
    assert sockets() < 20 * AT_ONCE
    assert known[-1] - known[1] < OBJECTS, known
