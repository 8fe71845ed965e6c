"""A ticket is answered once."""

from __future__ import annotations

from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` if a ticket serves twice."""
    params = await parties.ready()
    (await parties.decode(params)).require_status(200)
    (await parties.decode(params)).require_refusal(Code.RESERVATION_UNKNOWN)
    await parties.require_nothing_held()
