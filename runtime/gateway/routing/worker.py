"""Choose the prefill worker that will be done with a prompt first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

import msgspec

from runtime.gateway.routing.decision import Choice, Decision, Reason
from runtime.gateway.routing.load import least


class Candidate(msgspec.Struct, Generic[Choice], frozen=True, kw_only=True):
    """Describe one worker to the policy.

    ``queued_tokens`` are those of the prompts it was given and has not answered; of this prompt it has
    ``cached_tokens``.
    """

    peer: Choice
    queued_tokens: int
    cached_tokens: int = 0


def choose(
    candidates: Sequence[Candidate[Choice]], prompt_tokens: int, *, session: Choice | None = None, turn: int = 0
) -> Decision[Choice]:
    """Return the worker with the least to compute until the prompt is prefilled, in tokens; ties go round by ``turn``.

    So a cached prefix is worth as much as it saves, and no worker is overrun for the prefix that all prompts share.
    ``session`` is where the session's earlier prompts went: it is kept as long as it costs at most this prompt more
    than the best. ``candidates`` must not be empty.
    """
    if len(candidates) == 1:
        return Decision(candidates[0].peer, Reason.ONLY)
    best = least(candidates, lambda one: _cost(one, prompt_tokens), turn)
    home = next((one for one in candidates if one.peer == session), None)
    if home and home.peer != best.peer and _cost(home, prompt_tokens) <= _cost(best, prompt_tokens) + prompt_tokens:
        return Decision(home.peer, Reason.SESSION)
    return Decision(best.peer, Reason.PREFIX if best.cached_tokens else Reason.LOAD)


def _cost(one: Candidate[Choice], prompt_tokens: int) -> float:
    return one.queued_tokens + max(0, prompt_tokens - one.cached_tokens)
