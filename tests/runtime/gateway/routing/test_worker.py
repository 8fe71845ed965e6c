"""Which prefill worker is done first."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.routing.affinity import home
from runtime.gateway.routing.decision import Decision, Reason
from runtime.gateway.routing.worker import Candidate, choose

PROMPT = 1000
LOADS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, PROMPT)), min_size=2, max_size=6)


def candidates(*loads: tuple[int, int]) -> list[Candidate[str]]:
    return [
        Candidate(peer=f"w{number}", queued_tokens=queued, cached_tokens=cached)
        for number, (queued, cached) in enumerate(loads)
    ]


def cost(one: Candidate[str]) -> int:
    return one.queued_tokens + PROMPT - one.cached_tokens


def test_the_only_one_is_chosen_for_that() -> None:
    assert choose(candidates((9, 0)), PROMPT) == Decision("w0", Reason.ONLY)


@given(LOADS, st.integers(0, 100))
def test_nobody_would_be_done_sooner(loads: list[tuple[int, int]], turn: int) -> None:
    given_ones = candidates(*loads)
    chosen = choose(given_ones, PROMPT, turn=turn).choice
    costs = {one.peer: cost(one) for one in given_ones}
    assert costs[chosen] == min(costs.values())


def test_a_prefix_is_followed_until_its_queue_costs_more() -> None:
    assert choose(candidates((799, 800), (0, 0)), PROMPT) == Decision("w0", Reason.PREFIX)
    assert choose(candidates((801, 800), (0, 0)), PROMPT) == Decision("w1", Reason.LOAD)


def test_equals_take_turns() -> None:
    chosen = [choose(candidates((0, 0), (0, 0)), PROMPT, turn=turn).choice for turn in range(6)]
    assert Counter(chosen) == {"w0": 3, "w1": 3}


def test_a_session_stays_at_home_until_that_costs_a_prompt_more() -> None:
    assert choose(candidates((PROMPT, 0), (0, 0)), PROMPT, session="w0") == Decision("w0", Reason.SESSION)
    assert choose(candidates((PROMPT + 1, 0), (0, 0)), PROMPT, session="w0") == Decision("w1", Reason.LOAD)
    assert choose(candidates((0, 0), (1, 0)), PROMPT, session="gone") == Decision("w0", Reason.LOAD)


SESSIONS = [f"session-{number}" for number in range(1000)]
PEERS = ["a", "b", "c", "d"]


def test_sessions_are_spread_and_only_those_of_a_peer_that_left_move() -> None:
    before = {session: home(session, PEERS) for session in SESSIONS}
    after = {session: home(session, PEERS[1:]) for session in SESSIONS}
    assert {session for session in SESSIONS if before[session] != after[session]} == {
        session for session in SESSIONS if before[session] == "a"
    }
    assert min(Counter(before.values()).values()) > 150


def test_every_gateway_agrees_whatever_the_order() -> None:
    assert all(home(session, PEERS) == home(session, PEERS[::-1]) for session in SESSIONS)
