"""Hold how an answer ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from runtime.standins.engine.engine import Cancelled, Engine
from runtime.standins.engine.generation import Generation, never
from runtime.standins.engine.sampling import Sampling
from runtime.standins.engine.weights import Floats


def one_after(token: int, position: int) -> Floats:
    """Return logits that prefer the id after ``token``; position 0 holds token 0."""
    assert token == position
    logits = np.zeros(10, np.float32)
    logits[token + 1] = 1
    return logits


def generation(max_tokens: int, cancelled: Callable[[], bool] = never) -> Generation:
    return Generation(
        one_after,
        last_token=0,
        position=0,
        chooser=Sampling().chooser(),
        stop_ids=frozenset({5}),
        max_tokens=max_tokens,
        cancelled=cancelled,
    )


@pytest.mark.parametrize(
    ("max_tokens", "tokens", "reason"),
    [(3, [1, 2, 3], "length"), (4, [1, 2, 3, 4], "length"), (5, [1, 2, 3, 4], "stop"), (9, [1, 2, 3, 4], "stop")],
)
def test_an_answer_ends_at_a_stop_token_or_its_limit(max_tokens: int, tokens: list[int], reason: str) -> None:
    answer = generation(max_tokens)
    assert answer.finish_reason is None
    assert list(answer) == tokens
    assert answer.finish_reason == reason
    assert list(answer) == []


def test_cancelling_ends_an_answer_between_tokens() -> None:
    calls = iter([False, False, True])
    answer = generation(9, lambda: next(calls))
    assert [next(answer), next(answer)] == [1, 2]
    with pytest.raises(Cancelled):
        next(answer)
    assert answer.finish_reason is None


def test_generate_refuses_a_cache_without_room_for_the_answer(tiny: Callable[[int], Engine]) -> None:
    engine = tiny(1)
    cache = engine.new_cache(8)
    engine.prefill([1, 2, 3], cache)
    assert len(list(engine.generate([1, 2, 3], cache, Sampling(), max_tokens=6))) == 6
    with pytest.raises(ValueError, match="KV of 9 tokens is needed, the cache holds 8"):
        engine.generate([1, 2, 3], cache, Sampling(), max_tokens=7)
    with pytest.raises(ValueError, match="max_tokens is 0"):
        engine.generate([1, 2, 3], cache, Sampling(), max_tokens=0)
