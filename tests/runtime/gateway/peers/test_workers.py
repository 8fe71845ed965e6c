"""Choosing a worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from runtime.gateway.peers.workers import Address, Pool, Prompt, Worker
from runtime.gateway.routing.decision import Reason
from runtime.handoff.contract import Code, HandoffError

WORKERS = [Worker(Address(f"10.0.0.{number}", 8100), "ab", "key") for number in (1, 2, 3)]


PROMPT = Prompt(tokens=100)


def made(workers: list[Worker], clock: Callable[[], float] = lambda: 0.0) -> Pool:
    return Pool(lambda: workers, lambda _: None, stage="prefill", absent=Code.PREFILL_UNAVAILABLE, clock=clock)


def lent(pool: Pool, prompt: Prompt = PROMPT) -> Worker:
    worker = pool.lend(prompt).choice
    pool.give_back(worker, prompt)
    return worker


def test_idle_workers_take_turns() -> None:
    pool = made(WORKERS)
    assert Counter(lent(pool) for _ in range(6)) == Counter(dict.fromkeys(WORKERS, 2))


def test_who_works_on_fewer_tokens_is_lent() -> None:
    pool = made(WORKERS[:2])
    busy = pool.lend(Prompt(tokens=1000)).choice
    assert [lent(pool) for _ in range(4)] == [worker for worker in WORKERS[:2] if worker != busy] * 4


def test_prompts_without_tokens_are_lent_for_side_by_side() -> None:
    pool, nothing = made(WORKERS[:1]), Prompt(tokens=0)
    for worker in [pool.lend(nothing).choice for _ in range(2)]:
        pool.give_back(worker, nothing)


def test_a_prompt_goes_where_its_beginning_is() -> None:
    pool = made(WORKERS)
    first = lent(pool, Prompt(tokens=100, blocks=[1, 2], block_tokens=50))
    longer = Prompt(tokens=200, blocks=[1, 2, 3, 4], block_tokens=50)
    for _ in range(4):
        decision = pool.lend(longer)
        assert (decision.choice, decision.reason) == (first, Reason.PREFIX)
        pool.give_back(first, longer)


def test_a_session_stays_with_its_worker() -> None:
    pool = made(WORKERS)
    assert len({lent(pool, Prompt(tokens=100, session="s")) for _ in range(6)}) == 1


def test_a_worker_that_keeps_failing_is_left_alone_for_a_while() -> None:
    now = [0.0]
    pool = made(WORKERS[:1], lambda: now[0])
    for _ in range(5):
        pool.failed(lent(pool))
    with pytest.raises(HandoffError, match="failed lately"):
        lent(pool)
    now[0] += 60
    pool.succeeded(lent(pool))
    assert lent(pool) == WORKERS[0]


def test_a_lent_worker_counts_until_it_is_given_back() -> None:
    pool = made(WORKERS[:2])
    first, second = pool.lend(PROMPT).choice, pool.lend(PROMPT).choice
    assert first != second
    pool.give_back(first, PROMPT)
    assert [pool.lend(PROMPT).choice for _ in range(2)].count(first) == 1
    assert pool.lack is None


def test_nobody_to_lend_is_an_error_by_name() -> None:
    pool = made([])
    assert pool.lack == "no prefill worker is known"
    with pytest.raises(HandoffError) as caught:
        pool.lend(PROMPT)
    assert caught.value.code is Code.PREFILL_UNAVAILABLE


def test_neither_a_log_line_nor_a_repr_shows_the_key() -> None:
    shown = Worker(Address("10.0.0.1", 8100), "ab", "hidden")
    assert "hidden" not in f"{shown} {shown!r}"
