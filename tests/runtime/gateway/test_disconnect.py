"""A client that leaves frees both sides, whatever the phase."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime.handoff.contract import ABORT, CHAT_COMPLETIONS, RESERVATIONS
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.conftest import Captured, Setup
from tests.runtime.gateway.standin_peers import Peer
from tests.runtime.gateway.telemetry.test_metrics import sample

WITHDRAWN = f"DELETE {RESERVATIONS}/r/1"
DECODE = f"POST {CHAT_COMPLETIONS}"


async def leave_when(setup: Setup, peer: Peer, call: str, **body: Any) -> None:
    """Ask, and close the connection once ``peer`` got ``call``."""

    async def ask() -> None:
        async with setup.ask(**body) as answer:
            await answer.content.readexactly(10**6)

    asking = asyncio.create_task(ask())
    await peer.wait(lambda: call in peer.calls())
    asking.cancel()
    await asyncio.wait([asking], timeout=HUNG_SECONDS)
    assert asking.cancelled()


async def test_during_reserve_the_reservation_is_withdrawn_once_its_id_is_known(cs3: Setup) -> None:
    granted = cs3.decode.hold(RESERVATIONS)
    await leave_when(cs3, cs3.decode, f"POST {RESERVATIONS}")
    async with asyncio.timeout(HUNG_SECONDS):
        while sample(cs3, "dynamo_frontend_active_requests"):  # until the gateway has noticed
            await asyncio.sleep(0.005)
    granted.set()
    await cs3.decode.wait(lambda: WITHDRAWN in cs3.decode.calls())
    assert cs3.prefill.calls() == []


async def test_during_prefill_the_worker_is_left_and_the_reservation_withdrawn(cs3: Setup, log: Captured) -> None:
    cs3.prefill.hold(CHAT_COMPLETIONS)
    await leave_when(cs3, cs3.prefill, f"POST {CHAT_COMPLETIONS}")
    await cs3.prefill.wait(lambda: cs3.prefill.left == [CHAT_COMPLETIONS])
    await cs3.decode.wait(lambda: WITHDRAWN in cs3.decode.calls())
    assert DECODE not in cs3.decode.calls()
    (line,) = log.requests()
    assert (line["status"], line["code"]) == (499, "client_gone")


async def test_before_decode_is_accepted_the_handoff_is_aborted(cs3: Setup) -> None:
    cs3.decode.hold(CHAT_COMPLETIONS)
    await leave_when(cs3, cs3.decode, DECODE)
    await cs3.decode.wait(lambda: f"POST {ABORT}" in cs3.decode.calls())
    await cs3.decode.wait(lambda: cs3.decode.left == [CHAT_COMPLETIONS])
    assert WITHDRAWN not in cs3.decode.calls()


async def test_during_decode_the_endpoint_s_connection_is_closed(cs3: Setup) -> None:
    cs3.decode.waits_after_first = True
    async with cs3.ask(stream=True) as answer:
        await answer.content.readany()
        answer.close()
    await cs3.decode.wait(lambda: cs3.decode.left == ["stream"])
    await cs3.releases.drain()
    assert cs3.decode.calls() == [f"POST {RESERVATIONS}", DECODE]


async def test_a_client_that_stops_reading_stops_the_endpoint(cs3: Setup) -> None:
    """Backpressure: the gateway holds some buffers, not the answer; other clients are not held up."""
    cs3.decode.chunks = (b"data: " + b"x" * 2**19 + b"\n\n",) * 96
    async with cs3.ask(stream=True) as stopped:
        await stopped.content.readany()
        async with cs3.ask(stream=True) as other:
            assert len(await other.read()) > 48 * 2**20
        # a whole answer went by on the same loop, so the first would be through as well if nothing held it
        assert cs3.decode.completed == 1
        stopped.close()
    await cs3.decode.wait(lambda: cs3.decode.left == ["stream"])
