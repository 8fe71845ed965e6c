"""Without a valid ticket nothing happens, and nothing is spent."""

from __future__ import annotations

import time
from typing import Any

from runtime.handoff import fields
from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless forged, expired and missing tickets are refused, and the rightful one serves."""
    params, reservation = await parties.prefill(), await parties.reserve()
    bad: list[dict[str, Any]] = [
        parties.sign(params, reservation, key=b"another key"),
        parties.sign(params, reservation, expires_at=time.time() - 60),
        params,
    ]
    forged = parties.sign(params, reservation)
    name, payload, mac = forged[fields.TANDEM][fields.TICKET].split(".")
    bad.append({**forged, fields.TANDEM: {**forged[fields.TANDEM], fields.TICKET: f"{name}.{payload}.{mac[::-1]}"}})
    for each in bad:
        (await parties.decode(each)).require_refusal(Code.TICKET_INVALID)
        (await parties.abort(each)).require_refusal(Code.TICKET_INVALID)
    (await parties.decode(parties.sign(params, reservation))).require_status(200)
    await parties.require_nothing_held()
