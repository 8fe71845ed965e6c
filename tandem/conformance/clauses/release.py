"""A reservation that was given up is gone."""

from __future__ import annotations

from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless a withdrawn reservation decodes nothing, and the worker's blocks are given back."""
    params = await parties.prefill()
    reservation = await parties.reserve()
    for name in (reservation.id, reservation.id, "unknown"):
        (await parties.withdraw(name)).require_status(204)
    (await parties.decode(parties.sign(params, reservation))).require_refusal(Code.RESERVATION_UNKNOWN)
    await parties.require_nothing_held()
