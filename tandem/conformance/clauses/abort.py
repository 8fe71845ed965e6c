"""A prefilled request that is given up frees reservation and blocks; once it is decoded, that changes nothing."""

from __future__ import annotations

from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless an abort frees everything, may be repeated, and comes too late for an answer."""
    params = await parties.ready()
    for _ in range(2):
        (await parties.abort(params)).require_status(202)
    await parties.require_nothing_held()
    (await parties.decode(params)).require_refusal(Code.RESERVATION_UNKNOWN)
    answered = await parties.ready()
    (await parties.decode(answered)).require_status(200)
    (await parties.abort(answered)).require_status(202)
    await parties.require_nothing_held()
