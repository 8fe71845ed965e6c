"""A client that leaves ends its answer, before the first token and after it."""

from __future__ import annotations

from runtime.handoff import contract
from tandem.conformance.parties import Parties, require

LONG = 4000


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless everything is free soon after a client has left."""
    for lines in (0, 3):
        params = await parties.ready()
        body = parties.chat(params, stream=True, max_tokens=LONG, temperature=1, seed=1)
        async with parties.open("POST", contract.CHAT_COMPLETIONS, body) as response:
            require(response.status == 200, f"answered status {response.status}, the contract says 200")
            for _ in range(lines):
                await response.content.readline()
            response.close()
        await parties.require_nothing_held()
