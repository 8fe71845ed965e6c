"""A request with its KV is answered whole, and everything is free afterwards."""

from __future__ import annotations

from typing import Any

from runtime.handoff import contract, fields
from tandem.conformance.parties import Parties, require


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless the answer is OpenAI's, of this KV, and counted."""
    params = await parties.ready()
    answer = await parties.decode(params)
    answer.require_status(200)
    choice: dict[str, Any] = answer.body["choices"][0]
    require(bool(choice["message"]["content"]), "the answer is empty")
    tokens, usage = params[fields.REMOTE_NUM_TOKENS], answer.body["usage"]
    require(usage["prompt_tokens"] == tokens, f"usage says {usage['prompt_tokens']} prompt tokens, the KV has {tokens}")
    moved = answer.headers.get(contract.KV_BYTES_HEADER, "")
    require(moved.isdecimal() and int(moved) > 0, f"{contract.KV_BYTES_HEADER} is {moved!r}, bytes are needed")
    timing = answer.headers.get(contract.SERVER_TIMING, "")
    for phase in ("handshake", "transfer", "verify"):
        require(f"{phase};dur=" in timing, f"{contract.SERVER_TIMING} is {timing!r}, it lacks {phase}")
    await parties.require_nothing_held()
