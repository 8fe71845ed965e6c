"""A ticket serves for the KV that it was signed for, and no other."""

from __future__ import annotations

from typing import Any

from runtime.handoff import fields
from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` if blocks, worker, content or model can be exchanged under a ticket."""
    params, reservation = await parties.prefill(), await parties.reserve()
    signed = parties.sign(params, reservation)
    changes: list[dict[str, Any]] = [
        {fields.REMOTE_BLOCK_IDS: [[block + 1 for block in params[fields.REMOTE_BLOCK_IDS][0]]]},
        {fields.REMOTE_HOST: "192.0.2.1"},
        {fields.REMOTE_ENGINE_ID: "another"},
        {fields.REMOTE_NUM_TOKENS: params[fields.REMOTE_NUM_TOKENS] - 1},
        {fields.TANDEM: {fields.TICKET: signed[fields.TANDEM][fields.TICKET], fields.SEAL: {"generation": "other"}}},
    ]
    for change in changes:
        (await parties.decode({**signed, **change})).require_refusal(Code.KV_FOREIGN)
    other = parties.sign(params, reservation, model="another model")
    (await parties.decode(other)).require_refusal(Code.KV_FOREIGN)
    (await parties.decode(signed)).require_status(200)
    await parties.require_nothing_held()
