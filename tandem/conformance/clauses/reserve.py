"""An attempt reserves memory once, however often it asks."""

from __future__ import annotations

import uuid

from tandem.conformance.parties import Parties, require


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless asking again gives the same reservation, and another attempt another."""
    request_id = uuid.uuid4().hex
    first, again = [await parties.reserve(request_id=request_id) for _ in range(2)]
    other = await parties.reserve(request_id=request_id, attempt=2)
    for reservation in (first, other):
        await parties.withdraw(reservation.id)
    require(first.id == again.id, "an attempt that asked again was given a second reservation")
    require(first.id != other.id, "two attempts were given one reservation")
    await parties.require_nothing_held()
