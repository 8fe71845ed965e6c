"""A prefilled request that is given up frees reservation and blocks; once it is decoded, that changes nothing."""

from __future__ import annotations

from runtime.handoff import contract
from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties, require

TOKENS = 64


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless an abort frees everything, may be repeated, and comes too late for an answer."""
    params = await parties.ready()
    for _ in range(2):
        (await parties.abort(params)).require_status(202)
    await parties.require_nothing_held()
    (await parties.decode(params)).require_refusal(Code.RESERVATION_UNKNOWN)
    await _abort_during_an_answer(parties)
    answered = await parties.ready()
    (await parties.decode(answered)).require_status(200)
    (await parties.abort(answered)).require_status(202)
    await parties.require_nothing_held()


async def _abort_during_an_answer(parties: Parties) -> None:
    params = await parties.ready()
    body = parties.chat(params, stream=True, max_tokens=TOKENS, temperature=1, seed=1)
    async with parties.open("POST", contract.CHAT_COMPLETIONS, body) as response:
        require(response.status == 200, f"answered status {response.status}, the contract says 200")
        await response.content.readline()
        (await parties.abort(params)).require_status(202)
        text = await response.text()
    require(text.rstrip().endswith("data: [DONE]"), "a stream ends without [DONE] where an abort came too late")
    await parties.require_nothing_held()
