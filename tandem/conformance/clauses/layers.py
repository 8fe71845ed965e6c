"""KV that was streamed layer by layer is decoded where it is right, and refused where its digests are others."""

from __future__ import annotations

import base64
from typing import Any

from runtime.handoff import contract, fields, ticket
from runtime.handoff.contract import Code
from runtime.handoff.seal import Seal
from tandem.conformance.parties import BreachError, Parties, Reservation, require


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` on a wrong or missing invitation, or where streamed KV is not verified.

    An endpoint that does not stream keeps the clause by inviting nobody.
    """
    streaming = (await parties.ask("GET", contract.CAPABILITIES)).body.get(contract.STREAMING)
    allowed = (None, contract.LAYERS)
    require(streaming in allowed, f"{contract.STREAMING} is {streaming!r}, allowed is {contract.LAYERS!r} or nothing")
    reservation = await parties.reserve()
    if streaming is None:
        await parties.withdraw(reservation.id)
        require(reservation.stream is None, "a reservation invites workers, and capabilities do not say so")
        return
    (await parties.decode(parties.sign(await _prefilled(parties, reservation), reservation))).require_status(200)
    other = await parties.reserve()
    params = _falsified(await _prefilled(parties, other))
    (await parties.decode(parties.sign(params, other))).require_refusal(Code.KV_CORRUPT)
    await parties.require_nothing_held()


async def _prefilled(parties: Parties, reservation: Reservation) -> dict[str, Any]:
    match reservation.stream:
        case {"id": str(name), "agent": str(agent)} if name and agent:
            return await parties.prefill(reservation.stream)
    raise BreachError(f"the invitation is {reservation.stream!r}, id and agent are needed")


def _falsified(params: dict[str, Any]) -> dict[str, Any]:
    stated = ticket.seal_of(params)
    seal = Seal.from_params(stated, num_tokens=params[fields.REMOTE_NUM_TOKENS])
    if seal is None:
        raise BreachError("the worker gives no digests, so the clause cannot be examined: use Tandem's worker")
    wrong = base64.b64encode(bytes([seal.digests[0] ^ 1]) + seal.digests[1:]).decode()
    return {**params, fields.TANDEM: {fields.SEAL: stated | {"digests": wrong}}}
