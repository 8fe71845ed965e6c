"""Parameters that lack something are refused, where vLLM only warns."""

from __future__ import annotations

from runtime.handoff import fields
from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless each required parameter is required."""
    signed = await parties.ready()
    for name in fields.REQUIRED:
        without = {key: value for key, value in signed.items() if key != name}
        (await parties.decode(without)).require_refusal(Code.KV_INCOMPLETE)
    (await parties.abort(signed)).require_status(202)
    await parties.require_nothing_held()
