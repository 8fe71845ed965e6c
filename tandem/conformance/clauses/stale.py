"""KV that may have been freed before it was read is not decoded."""

from __future__ import annotations

from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless a lease that has ended is noticed, and everything is freed."""
    params, reservation = await parties.prefill(), await parties.reserve()
    (await parties.decode(parties.sign(params, reservation, lease_ms=1))).require_refusal(Code.KV_STALE)
    await parties.require_nothing_held()
