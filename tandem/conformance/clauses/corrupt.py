"""KV whose bytes are not those that the worker digested is not decoded."""

from __future__ import annotations

import base64

from runtime.handoff import fields, ticket
from runtime.handoff.contract import Code
from runtime.handoff.seal import Seal
from tandem.conformance.parties import BreachError, Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless one wrong digest is noticed, and everything is freed."""
    params, reservation = await parties.prefill(), await parties.reserve()
    stated = ticket.seal_of(params)
    seal = Seal.from_params(stated, num_tokens=params[fields.REMOTE_NUM_TOKENS])
    if seal is None:
        raise BreachError("the worker gives no digests, so the clause cannot be examined: use Tandem's worker")
    wrong = bytes([seal.digests[0] ^ 1]) + seal.digests[1:]
    other = {**params, fields.TANDEM: {fields.SEAL: stated | {"digests": base64.b64encode(wrong).decode()}}}
    (await parties.decode(parties.sign(other, reservation))).require_refusal(Code.KV_CORRUPT)
    await parties.require_nothing_held()
