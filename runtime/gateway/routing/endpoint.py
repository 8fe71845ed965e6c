"""Choose the decode endpoint, and spill over to another provider where those of the first are full or away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic

import msgspec

from runtime.gateway.routing.decision import Choice, Decision, Reason
from runtime.gateway.routing.load import least

FULL: Final = 0.98
"""The share of KV memory reserved from which an endpoint is asked last: what is left seldom holds another prompt."""
CACHED_WORTH: Final = 4.0
"""How many more requests in flight a prompt that is cached as a whole outweighs."""


class Candidate(msgspec.Struct, Generic[Choice], frozen=True, kw_only=True):
    """Describe one endpoint to the policy; those of the least ``tier`` are preferred, the others are spilled over to.

    ``fill`` is the share of its KV memory that is reserved, as it last said; ``in_flight`` counts our requests there;
    ``cached`` is the share of this prompt that is in its prefix cache.
    """

    peer: Choice
    tier: int
    fill: float = 0.0
    in_flight: int = 0
    cached: float = 0.0


def choose(
    candidates: Sequence[Candidate[Choice]], *, turn: int = 0, full: float = FULL, first_tier: int = 0
) -> Decision[Choice]:
    """Return the emptiest endpoint of the first tier that has room; where none has, of the first tier there is.

    ``candidates`` are those that may be asked at all and must not be empty; ``first_tier`` is the least tier of the
    deployment, so that a choice below it tells that it spilled over.
    """
    if len(candidates) == 1:
        [only] = candidates
        return Decision(only.peer, Reason.SPILL_OVER if only.tier > first_tier else Reason.ONLY)
    roomy = [one for one in candidates if one.fill < full]
    tier = min(one.tier for one in roomy or candidates)
    peers = [one for one in roomy or candidates if one.tier == tier]
    chosen = least(peers, lambda one: (round(one.fill, 2), one.in_flight - CACHED_WORTH * one.cached), turn)
    if tier > first_tier:
        return Decision(chosen.peer, Reason.SPILL_OVER)
    if not roomy:
        return Decision(chosen.peer, Reason.ALL_FULL)
    return Decision(chosen.peer, Reason.PREFIX if chosen.cached else Reason.LOAD)
