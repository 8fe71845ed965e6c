"""Traffic by stated distributions: its means are those that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.traces.synthetic import Synthetic, SyntheticError, described, generate


def test_means_and_spread_are_as_stated() -> None:
    trace = generate(Synthetic(rate=20, seconds=2000, burst=2, prompt=3000, prompt_cv=0.5, answer=200, answer_cv=0))
    gaps = np.diff(trace.seconds)
    assert len(trace) == 40_000
    assert gaps.mean() == pytest.approx(1 / 20, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(2, rel=0.05)
    assert trace.prompt_tokens.mean() == pytest.approx(3000, rel=0.02)
    assert trace.prompt_tokens.std() / trace.prompt_tokens.mean() == pytest.approx(0.5, rel=0.03)
    assert set(trace.answer_tokens.tolist()) == {200}


def test_the_same_seed_gives_the_same_trace_and_another_another() -> None:
    one, same, other = (generate(described(f"synthetic:rate=5,seconds=60,seed={seed}")) for seed in (1, 1, 2))
    assert np.array_equal(one.seconds, same.seconds)
    assert not np.array_equal(one.seconds, other.seconds)


def test_a_clock() -> None:
    assert np.diff(generate(Synthetic(rate=2, seconds=5, burst=0)).seconds).tolist() == pytest.approx([0.5] * 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("synthetic:", "'' is unknown or given twice"),
        ("synthetic:prompt=5", "rate is missing"),
        ("synthetic:rate=1,rate=2", "'rate=2' is unknown or given twice"),
        ("synthetic:rate=1,tokens=2", "'tokens=2' is unknown"),
        ("synthetic:rate=fast", "rate is 'fast': a number from"),
        ("synthetic:rate=-1", "rate is '-1'"),
        ("synthetic:rate=nan", "rate is 'nan'"),
        ("synthetic:rate=1,prompt=0", "prompt is '0'"),
        ("synthetic:rate=1e6,seconds=1e6", "rate x seconds is 1e[+]12 requests"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(SyntheticError, match=message):
        described(text)
