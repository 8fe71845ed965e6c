"""A trace's means: over the whole, and over the minute that asks most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.traces.means import busiest_load, mean_load, reused_share
from tandem.traces.read import read
from tandem.traces.trace import Trace
from tests.tandem.traces.test_read import MOONCAKE, written


def trace(*requests: tuple[float, int, int]) -> Trace:
    seconds, prompts, answers = zip(*requests, strict=True)
    nothing = np.array([], dtype=np.int64)
    return Trace(np.array(seconds), np.array(prompts), np.array(answers), nothing, nothing)


def test_the_whole_and_its_busiest_minute() -> None:
    given_ = trace((0, 100, 10), (100, 1000, 10), (150, 2000, 30), (161, 900, 50), (200, 10, 1))
    mean = mean_load(given_)
    assert (mean.requests_per_second, mean.prompt_tokens, mean.answer_tokens) == pytest.approx((5 / 200, 802, 20.2))
    busiest = busiest_load(given_)
    # from 100 s on 3000 tokens come within a minute; from 150 s on 2910, with one request more
    assert (busiest.requests_per_second, busiest.prompt_tokens) == pytest.approx((2 / 60, 1500))


def test_a_short_trace_is_taken_as_a_minute() -> None:
    assert mean_load(trace((0, 100, 10), (1, 100, 10))).requests_per_second == pytest.approx(2 / 60)


@given(st.lists(st.tuples(st.floats(0, 500), st.integers(1, 9999), st.integers(1, 99)), min_size=1, max_size=40))
def test_no_window_asks_more_than_the_busiest(requests: list[tuple[float, int, int]]) -> None:
    requests.sort()
    busiest = busiest_load(trace(*requests))
    found = busiest.requests_per_second * busiest.prompt_tokens * 60
    for start, *_ in requests:
        assert sum(prompt for at, prompt, _ in requests if start <= at < start + 60) <= found * 1.000001


def test_what_a_prefix_cache_could_hold(tmp_path: Path) -> None:
    assert reused_share(read(written(tmp_path, MOONCAKE))) == pytest.approx(1 / 4)
    assert reused_share(trace((0, 1, 1))) == 0
