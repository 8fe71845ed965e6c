"""A client that reads slowly holds up nobody else, and loses nothing."""

from __future__ import annotations

import asyncio

from runtime.handoff import contract
from tandem.conformance.parties import BreachError, Parties, require

OTHERS_SECONDS = 10.0


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless others are answered while a stream is not read, which then is whole."""
    body = parties.chat(await parties.ready(), stream=True)
    async with parties.open("POST", contract.CHAT_COMPLETIONS, body) as response:
        require(response.status == 200, f"answered status {response.status}, the contract says 200")
        other = await parties.ready()
        try:
            async with asyncio.timeout(OTHERS_SECONDS):
                (await parties.decode(other)).require_status(200)
        except TimeoutError as error:
            raise BreachError(f"a client that did not read held up another for {OTHERS_SECONDS:g} s") from error
        text = await response.text()
    require(text.rstrip().endswith("data: [DONE]"), "the slow client's stream ends without [DONE]")
    await parties.require_nothing_held()
