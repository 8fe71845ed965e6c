"""Say what becomes of a request whose leg failed: the one table, which docs/gateway.md shows as well."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from runtime.gateway.routing.budget import RetryBudget
from runtime.handoff.contract import Code


class Leg(StrEnum):
    """Enumerate where a request can fail; ``STREAM`` is after its first bytes."""

    RESERVE = "reserve"
    PREFILL = "prefill"
    DECODE = "decode"
    STREAM = "stream"


class Action(StrEnum):
    """Enumerate what can be done about it."""

    ANOTHER_WORKER = "another_worker"
    """Prefill again at another worker, for the same reservation."""
    ANOTHER_ENDPOINT = "another_endpoint"
    """Reserve, prefill and decode again at an endpoint that this request has not tried."""
    ONCE_MORE = "once_more"
    """The same at an endpoint that failed, once a request, where no other is left: a connection may have been cut."""
    RESERVE_AGAIN = "reserve_again"
    """Reserve, prefill and decode again, at another endpoint if there is one."""
    TEXT = "text"
    """Hand over text in place of KV: the decode peer prefills by itself."""
    CONTINUE = "continue"
    """Have another endpoint go on after the last token that arrived."""
    GIVE_UP = "give_up"


TRIES: Final = 5
"""How often a request is begun at most, whatever fails."""
_FRESH: Final = (Action.RESERVE_AGAIN, Action.TEXT)
_ELSEWHERE: Final = (Action.ANOTHER_ENDPOINT, Action.ONCE_MORE)

TABLE: Final[Mapping[Leg, Mapping[Code, tuple[Action, ...]]]] = {
    Leg.RESERVE: {
        Code.CAPACITY: (Action.ANOTHER_ENDPOINT,),
        Code.DECODE_UNAVAILABLE: (Action.ANOTHER_ENDPOINT,),
        Code.DECODE_FAILED: (Action.ANOTHER_ENDPOINT,),
    },
    Leg.PREFILL: {
        Code.PREFILL_UNAVAILABLE: (Action.ANOTHER_WORKER, Action.TEXT),
        Code.PREFILL_FAILED: (Action.ANOTHER_WORKER, Action.TEXT),
    },
    Leg.DECODE: {
        Code.CAPACITY: (Action.ANOTHER_ENDPOINT,),
        Code.DECODE_UNAVAILABLE: _ELSEWHERE,
        Code.DECODE_FAILED: _ELSEWHERE,
        Code.TICKET_INVALID: (Action.ANOTHER_ENDPOINT, Action.TEXT),
        Code.RESERVATION_UNKNOWN: _FRESH,
        Code.KV_STALE: _FRESH,
        Code.KV_TRANSFER: _FRESH,
        Code.KV_CORRUPT: _FRESH,
        Code.KV_FOREIGN: (Action.TEXT,),
        Code.KV_LAYOUT: (Action.TEXT,),
        Code.KV_INCOMPLETE: (Action.TEXT,),
    },
    Leg.STREAM: {
        Code.DECODE_UNAVAILABLE: (Action.CONTINUE,),
        Code.DECODE_FAILED: (Action.CONTINUE,),
    },
}
"""What is tried, in this order, where it is possible; what is not here is the request's own fault, and told at once."""
_GONE: Final = frozenset({Code.DECODE_UNAVAILABLE, Code.PREFILL_UNAVAILABLE})


def act(leg: Leg, code: Code, possible: Collection[Action]) -> Action:
    """Return the first action of the table that is possible now, else ``GIVE_UP``."""
    wanted = TABLE[leg].get(code, ())
    return next((action for action in wanted if action in possible), Action.GIVE_UP)


def charged(leg: Leg, code: Code) -> bool:
    """Tell whether a retry counts against the budget: of who is gone the work only moves, and a crash moves much."""
    return leg is not Leg.STREAM and code not in _GONE


def available(begun: int, *, others: bool, once_more: bool) -> set[Action]:
    """Return what a request that was ``begun`` so often allows that needs no worker and no text; none after ``TRIES``.

    ``others`` says whether an endpoint is left that it has not tried, ``once_more`` whether it had its second chance.
    """
    if begun >= TRIES:
        return set()
    allowed = {Action.RESERVE_AGAIN, Action.CONTINUE}
    if others:
        allowed.add(Action.ANOTHER_ENDPOINT)
    elif not once_more:
        allowed.add(Action.ONCE_MORE)
    return allowed


def decide(
    leg: Leg, code: Code, possible: Collection[Action], budget: RetryBudget, now: float
) -> tuple[Action, RetryBudget]:
    """Return what is done, and what is left of ``budget``; ``GIVE_UP`` where nothing is possible, or it is spent."""
    action = act(leg, code, possible)
    if action is Action.GIVE_UP or not charged(leg, code):
        return action, budget
    left = budget.spend(now)
    return (action, left) if left else (Action.GIVE_UP, budget)
