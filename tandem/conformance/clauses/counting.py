"""What depends on the answer so far depends on its tokens that another endpoint decoded as well."""

from __future__ import annotations

from typing import Final

from tandem.conformance.clauses.continuation import require_taken_up, streamed
from tandem.conformance.parties import Parties

_ASKED: Final = (
    {"presence_penalty": -2, "frequency_penalty": -2},  # so that an answer repeats itself, the sooner the more it has
    {"temperature": 0.9, "seed": 7},
)
"""Of each, an endpoint that cannot do it may say so."""


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless penalties and seeds stand after some tokens where they stood in the whole answer."""
    for asked in _ASKED:
        if whole := await streamed(parties, asked):
            await require_taken_up(parties, whole, asked)
    await parties.require_nothing_held()
