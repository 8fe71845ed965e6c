"""A reservation that nobody uses ends by itself."""

from __future__ import annotations

import asyncio

from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless a reservation is useless, and its memory free, after its time."""
    reservation = await parties.reserve()
    await asyncio.sleep(reservation.ttl_seconds + 0.1)
    params = parties.sign(await parties.prefill(), reservation)
    (await parties.decode(params)).require_refusal(Code.RESERVATION_UNKNOWN)
    await parties.require_nothing_held()
