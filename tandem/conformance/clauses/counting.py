"""What depends on the answer so far depends on its tokens that another endpoint decoded as well."""

from __future__ import annotations

from typing import Final

from tandem.conformance.clauses.continuation import require_taken_up, streamed
from tandem.conformance.parties import Parties

_ASKED: Final = {"presence_penalty": -2, "frequency_penalty": -2}
"""So that an answer repeats itself, the sooner the more it has."""


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless penalties count what another decoded; an endpoint may refuse to have any."""
    if whole := await streamed(parties, _ASKED):
        await require_taken_up(parties, whole, _ASKED)
    await parties.require_nothing_held()
