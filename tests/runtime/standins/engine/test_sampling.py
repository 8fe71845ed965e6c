"""Hold choices to their probabilities, seeds and ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.standins.engine.engine import Engine
from runtime.standins.engine.json_object import JsonObject
from runtime.standins.engine.sampling import Sampling

LOGITS = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30)


def test_greedy_takes_the_lowest_id_of_the_highest() -> None:
    assert Sampling().chooser()(np.array([1, 3, 3, 2], np.float32)) == 1


@given(LOGITS, st.integers())
def test_a_seed_repeats_its_choices(values: list[float], seed: int) -> None:
    logits = np.array(values, np.float32)
    first, second = (Sampling(temperature=1.3, seed=seed).chooser() for _ in range(2))
    assert [first(logits) for _ in range(5)] == [second(logits) for _ in range(5)]


@given(LOGITS, st.floats(0.01, 1), st.integers(0, 1000))
def test_a_choice_lies_in_the_nucleus(values: list[float], top_p: float, seed: int) -> None:
    logits = np.array(values, np.float32)
    chosen = Sampling(temperature=1, top_p=top_p, seed=seed).chooser()(logits)
    shares = np.exp(logits.astype(float) - logits.max())
    likelier = shares[logits > logits[chosen]].sum() / shares.sum()
    assert likelier < top_p + 1e-9


def test_choices_follow_the_probabilities() -> None:
    choose = Sampling(temperature=2, seed=1).chooser()
    logits = np.array([math.log(0.81), math.log(0.01), math.log(0.36)], np.float32)  # roots: 0.9, 0.1, 0.6
    counts = np.bincount([choose(logits) for _ in range(8000)], minlength=3)
    np.testing.assert_allclose(counts / 8000, np.array([0.9, 0.1, 0.6]) / 1.6, atol=0.02)


@pytest.mark.parametrize("temperature", [-0.1, 2.1, math.nan])
def test_a_temperature_outside_its_range_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="allowed is 0 to 2"):
        Sampling(temperature=temperature)


@pytest.mark.parametrize("top_p", [0, 1.1, math.nan])
def test_a_top_p_outside_its_range_is_refused(top_p: float) -> None:
    with pytest.raises(ValueError, match="allowed is more than 0, up to 1"):
        Sampling(top_p=top_p)


@given(LOGITS, st.integers())
def test_a_choice_after_some_tokens_is_that_of_who_chose_them(values: list[float], seed: int) -> None:
    sampling = Sampling(temperature=1, seed=seed, presence_penalty=1, frequency_penalty=-0.5)
    logits, choose = np.array(values, np.float32), sampling.chooser()
    chosen = [choose(logits) for _ in range(8)]
    for cut in range(8):
        again = sampling.chooser(chosen[:cut])
        assert [again(logits) for _ in range(8 - cut)] == chosen[cut:]


def test_a_token_loses_for_being_there_and_for_each_time() -> None:
    logits = np.array([3, 2, 1], np.float32)
    for answered, chosen in (((), 0), ((0,), 1), ((0, 1, 1), 0), ((0, 0, 0, 1), 2)):
        assert Sampling(presence_penalty=1, frequency_penalty=0.5).chooser(answered)(logits) == chosen, answered


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
@pytest.mark.parametrize("value", [-2.1, 2.1, math.nan])
def test_a_penalty_outside_its_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .* allowed is -2 to 2"):
        Sampling(**{name: value})  # type: ignore[arg-type]  # one of its numbers


def test_an_answer_in_json_is_one_object_and_ends_with_it(engine: Engine) -> None:
    prompt = engine.tokenizer.chat([{"role": "user", "content": "Describe yourself as JSON"}])
    cache = engine.new_cache(len(prompt) + 20)
    engine.prefill(prompt, cache)
    answer = engine.generate(prompt, cache, Sampling(json_object=True), max_tokens=20)
    said = engine.tokenizer.decode(list(answer))
    assert JsonObject().after(said.encode()) is not None
    assert (answer.finish_reason == "stop") == (JsonObject().after(said.encode()) == JsonObject("nothing"))


def test_an_answer_that_is_no_json_is_not_gone_on_with(engine: Engine) -> None:
    prompt = engine.tokenizer.encode("Red")
    with pytest.raises(ValueError, match="does not go on with a JSON object"):
        engine.generate(prompt, engine.new_cache(9), Sampling(json_object=True), max_tokens=1, answered=1)
