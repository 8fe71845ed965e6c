"""Choosing a worker."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.workers import Address, Pool, Worker, pick
from runtime.handoff.contract import Code, HandoffError

WORKERS = [Worker(Address(f"10.0.0.{number}", 8100), "ab", "key") for number in (1, 2, 3)]


@given(st.lists(st.integers(0, 3), min_size=3, max_size=3), st.integers(min_value=0))
def test_the_least_loaded_is_picked(loads: list[int], turn: int) -> None:
    in_flight = dict(zip(WORKERS, loads, strict=True))
    assert in_flight[pick(WORKERS, in_flight, turn)] == min(loads)


def test_idle_workers_take_turns() -> None:
    assert Counter(pick(WORKERS, {}, turn) for turn in range(6)) == Counter(dict.fromkeys(WORKERS, 2))


def test_a_lent_worker_counts_until_it_is_given_back() -> None:
    pool = Pool(lambda: WORKERS[:2], lambda _: None, stage="prefill", absent=Code.PREFILL_UNAVAILABLE)
    with pool.borrow() as first, pool.borrow() as second:
        assert first != second
        with pytest.raises(RuntimeError, match="inside"), pool.borrow():
            raise RuntimeError("inside")
    assert pool.lack is None


def test_nobody_to_lend_is_an_error_by_name() -> None:
    pool = Pool(list, lambda _: None, stage="prefill", absent=Code.PREFILL_UNAVAILABLE)
    assert pool.lack == "no prefill worker is known"
    with pytest.raises(HandoffError) as caught, pool.borrow():
        raise AssertionError("lent")
    assert caught.value.code is Code.PREFILL_UNAVAILABLE


def test_neither_a_log_line_nor_a_repr_shows_the_key() -> None:
    shown = Worker(Address("10.0.0.1", 8100), "ab", "hidden")
    assert "hidden" not in f"{shown} {shown!r}"
