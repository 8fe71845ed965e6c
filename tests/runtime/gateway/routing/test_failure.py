"""What becomes of a request whose leg failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.gateway.routing.budget import RetryBudget
from runtime.gateway.routing.failure import TABLE, TRIES, Action, Leg, act, available, charged, decide
from runtime.handoff.contract import Code

EVERYTHING = frozenset(Action)
OWN_FAULT = (Code.INVALID_REQUEST, Code.MODEL_NOT_FOUND, Code.CONTEXT_LENGTH_EXCEEDED, Code.UNAUTHORIZED)


def test_the_first_possible_action_is_taken() -> None:
    rows = [(leg, code, actions) for leg, codes in TABLE.items() for code, actions in codes.items()]
    for leg, code, actions in rows:
        assert act(leg, code, EVERYTHING) is actions[0]
        assert act(leg, code, EVERYTHING - {actions[0]}) is (*actions, Action.GIVE_UP)[1]
        assert act(leg, code, ()) is Action.GIVE_UP


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.parametrize("code", OWN_FAULT)
def test_the_request_s_own_fault_is_told_at_once(leg: Leg, code: Code) -> None:
    assert act(leg, code, EVERYTHING) is Action.GIVE_UP


def test_once_bytes_are_out_nothing_starts_anew() -> None:
    assert {action for actions in TABLE[Leg.STREAM].values() for action in actions} == {Action.CONTINUE}
    before = [actions for leg in Leg if leg is not Leg.STREAM for actions in TABLE[leg].values()]
    assert all(Action.CONTINUE not in actions for actions in before)


def test_the_document_shows_this_table() -> None:
    text = (Path(__file__).parents[4] / "docs" / "gateway.md").read_text()
    rows = [
        f"| {leg} | `{code}` | {', '.join(f'`{action}`' for action in actions)} |\n"
        for leg, codes in TABLE.items()
        for code, actions in codes.items()
    ]
    head = "| leg | code | tried, in this order |\n|---|---|---|\n"
    assert head + "".join(rows) + "\n" in text


def test_a_crash_moves_work_and_only_refusals_count_against_the_budget() -> None:
    free = {(leg, code) for leg, codes in TABLE.items() for code in codes if not charged(leg, code)}
    assert free == {
        (Leg.RESERVE, Code.DECODE_UNAVAILABLE),
        (Leg.PREFILL, Code.PREFILL_UNAVAILABLE),
        (Leg.DECODE, Code.DECODE_UNAVAILABLE),
        (Leg.STREAM, Code.DECODE_UNAVAILABLE),
        (Leg.STREAM, Code.DECODE_FAILED),
    }


def test_the_only_endpoint_gets_one_more_chance_and_nothing_goes_on_for_ever() -> None:
    always = {Action.RESERVE_AGAIN, Action.CONTINUE}
    assert available(1, others=True, once_more=False) == always | {Action.ANOTHER_ENDPOINT}
    assert available(1, others=False, once_more=False) == always | {Action.ONCE_MORE}
    assert available(1, others=False, once_more=True) == always
    assert available(TRIES, others=True, once_more=False) == set()


def test_a_retry_is_taken_from_the_budget_where_it_counts_until_none_is_left() -> None:
    budget, taken = RetryBudget(), 0
    while True:
        action, left = decide(Leg.DECODE, Code.KV_STALE, EVERYTHING, budget, 0.0)
        if action is Action.GIVE_UP:
            break
        assert left != budget
        budget, taken = left, taken + 1
    assert taken > 0
    assert left == budget
    assert decide(Leg.STREAM, Code.DECODE_FAILED, EVERYTHING, budget, 0.0) == (Action.CONTINUE, budget)
    assert decide(Leg.DECODE, Code.KV_STALE, (), RetryBudget(), 0.0) == (Action.GIVE_UP, RetryBudget())
