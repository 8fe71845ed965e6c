"""Hold text and tokens to each other, in whole and token by token."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.standins.engine.engine import Engine
from runtime.standins.engine.tokenizer import Detokenizer, Tokenizer

# what the model has tokens for: see Tokenizer.encode
TEXT = st.text(st.characters(codec="utf-8", max_codepoint=0x3FFFF, exclude_characters="\x04\x06\x13\x14\x16\x1d"))
SAMPLES = ["", "Hello, world!", "  two  spaces\n\n\ttab ", "naïve café — “quoted”", "日本語と한국어", "👩‍👩‍👧‍👦🙂 ok"]


@pytest.fixture(scope="session")
def tokenizer(engine: Engine) -> Tokenizer:
    return engine.tokenizer


def pushed(tokenizer: Tokenizer, tokens: Iterable[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.push(token) for token in tokens), detokenizer.flush()]


@pytest.mark.parametrize("text", SAMPLES)
def test_samples_survive_a_round_trip(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(TEXT)
def test_text_survives_a_round_trip_whole_and_token_by_token(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    *parts, rest = pushed(tokenizer, tokens)
    assert ("".join(parts), rest) == (text, "")


@given(st.lists(st.integers(0, 49151), max_size=20))
def test_pieces_of_any_tokens_add_up_to_their_text(tokenizer: Tokenizer, tokens: list[int]) -> None:
    assert "".join(pushed(tokenizer, tokens)) == tokenizer.decode(tokens)


def test_half_a_character_waits_for_its_other_half(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("日 👦")
    assert len(tokens) > 3
    assert "\ufffd" not in "".join(pushed(tokenizer, tokens))
    assert pushed(tokenizer, tokens[:-1])[-1] == "\ufffd"


def test_digits_are_single_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("2047") == [tokenizer.encode(digit)[0] for digit in "2047"]


def test_control_tokens_are_read_but_not_written(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("<|im_start|>hi<|im_end|>") == [1, *tokenizer.encode("hi"), 2]
    assert tokenizer.decode([1, *tokenizer.encode("hi"), 2]) == "hi"
    assert tokenizer.stop_ids == {2}


def test_a_chat_is_written_in_the_models_template(tokenizer: Tokenizer) -> None:
    expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi\nthere<|im_end|>\n<|im_start|>assistant\n"
    parts: Any = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert tokenizer.chat(messages) == tokenizer.encode(expected)


def test_a_chat_without_a_system_message_gets_the_models_own(tokenizer: Tokenizer) -> None:
    text = tokenizer.decode(tokenizer.chat([{"role": "user", "content": "Hi"}]))
    assert text.startswith("system\nYou are a helpful AI assistant named SmolLM")


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "at least one message"),
        ("hi", "at least one message"),
        (None, "at least one message"),
        (["hi"], r"messages\[0\] is 'hi'"),
        ([{"role": "tool", "content": "x"}], r"messages\[0\].role is 'tool'.*system, user, assistant"),
        ([{"role": ["user"], "content": "x"}], r"messages\[0\].role is \['user'\]"),
        ([{"role": "user"}], r"messages\[0\].content is None"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], r"content\[0\] is .*takes only"),
        ([{"role": "user", "content": "\ud800"}], "surrogates not allowed"),
    ],
)
def test_a_chat_of_another_shape_is_refused(tokenizer: Tokenizer, messages: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tokenizer.chat(messages)


@pytest.mark.parametrize("token", [-1, 49152])
def test_an_unknown_id_is_refused(tokenizer: Tokenizer, token: int) -> None:
    with pytest.raises(ValueError, match="allowed is 0 to 49151"):
        tokenizer.decode([token])
