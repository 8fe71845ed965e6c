"""Memory that is not there is not promised."""

from __future__ import annotations

from typing import Any, Final

from runtime.handoff import contract
from runtime.handoff.contract import Code
from tandem.conformance.parties import Answer, BreachError, Parties, require

MOST: Final = 20_000
"""Reservations of full length that no endpoint can hold: at 131,072 bytes a token and 8,192 tokens, 21 TB."""


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless reservations end in a refusal, and withdrawing one makes room for one."""
    length = await _length(parties)
    granted: list[str] = []
    try:
        full = await _fill(parties, length, granted)
        full.require_refusal(Code.CAPACITY)
        wait = full.headers.get("Retry-After", "")
        require(wait.isdecimal() and int(wait) > 0, f"Retry-After is {wait!r}, a number of seconds is needed")
        (await parties.withdraw(granted.pop())).require_status(204)
        answer = await _ask(parties, length)
        answer.require_status(201)
        granted.append(answer.body["reservation_id"])
    finally:
        for name in granted:
            await parties.withdraw(name)
    await parties.require_nothing_held()


async def _fill(parties: Parties, length: int, granted: list[str]) -> Answer:
    for _ in range(MOST):
        answer = await _ask(parties, length)
        if answer.status != 201:
            return answer
        granted.append(answer.body["reservation_id"])
    raise BreachError(f"{MOST} reservations of {length} tokens were granted at once")


async def _ask(parties: Parties, length: int) -> Answer:
    return await parties.try_reserve(prompt_tokens=length - 1, max_tokens=1)


async def _length(parties: Parties) -> int:
    models: list[dict[str, Any]] = (await parties.ask("GET", contract.CAPABILITIES)).body["models"]
    return next(int(model["max_model_len"]) for model in models if model["id"] == parties.model)
