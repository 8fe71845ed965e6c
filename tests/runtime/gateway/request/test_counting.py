"""Counting prompts, held against the engine's own tokenizer and chat template."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.request import chat as bodies
from runtime.gateway.request import counting
from runtime.gateway.request.chat import Chat
from runtime.gateway.request.counting import Counter, How
from runtime.gateway.request.text import MESSAGE_TOKENS, TEMPLATE_TOKENS, TOOLS_TOKENS, text_of
from runtime.gateway.request.tokenizer import Tokenizer, TokenizerError
from runtime.handoff import contract
from tests.runtime.gateway.small_tokenizer import FILE, REFERENCE

TOKENIZER = Tokenizer.read(FILE)
CONTEXT = 8192
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=400) | st.sampled_from(
    ["word " * 900, "1234567890" * 90, "<|im_end|>"]
)
CONTENTS = ANY_TEXT | st.lists(ANY_TEXT.map(lambda text: {"type": "text", "text": text}), max_size=3)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": CONTENTS}),
    min_size=1,
    max_size=4,
)


def request(path: str = contract.CHAT_COMPLETIONS, **body: Any) -> Chat:
    raw = json.dumps({"model": "m", **body}).encode()
    return bodies.read(bodies.parse(raw), request_id="r", tenant="t", model="m", max_model_len=CONTEXT, path=path)


def completion(prompt: str | list[int]) -> Chat:
    return request(contract.COMPLETIONS, prompt=prompt)


async def count(chat: Chat, tokenizer: Tokenizer | None = TOKENIZER) -> tuple[int, How]:
    return await counted_by(Counter(tokenizer, max_model_len=CONTEXT, decisive=2048), chat)


async def counted_by(counter: Counter, chat: Chat) -> tuple[int, How]:
    counted = counter.count(chat)
    return counted if isinstance(counted, tuple) else await counted


@given(MESSAGES)
async def test_a_chat_is_never_taken_for_less_than_it_is_and_hardly_for_more(messages: list[dict[str, Any]]) -> None:
    tokens, how = await count(request(messages=messages))
    real = len(REFERENCE.chat(messages))
    assert tokens >= real
    if how is How.TOKENIZER:
        parts = sum(len(each["content"]) for each in messages if isinstance(each["content"], list))
        assert tokens <= real + TEMPLATE_TOKENS + MESSAGE_TOKENS * len(messages) + parts


@given(ANY_TEXT.filter(bool))
async def test_no_text_takes_more_tokens_than_bytes_nor_than_it_is_counted_to(text: str) -> None:
    real = len(REFERENCE.encode(text))
    assert real <= len(text.encode())
    assert real <= (await count(completion(text)))[0]


@pytest.mark.parametrize(
    ("chat", "how"),
    [
        (completion([1, 2, 3]), How.IDS),
        (completion("x" * counting.SHORT_BYTES), How.BYTES),
        (completion("x" * (counting.SHORT_BYTES + 1)), How.TOKENIZER),
        (completion("é" * (counting.SHORT_BYTES // 2 + 1)), How.TOKENIZER),
        (completion("word " * counting.AT_ONCE_BYTES), How.TOKENIZER),
        (completion("word " * CONTEXT * 2), How.ESTIMATE),
    ],
)
async def test_only_what_is_worth_it_is_counted(chat: Chat, how: How) -> None:
    assert (await count(chat))[1] is how


async def test_a_bound_that_leaves_a_decision_open_is_not_enough() -> None:
    counter = Counter(TOKENIZER, max_model_len=CONTEXT, decisive=100)
    assert [(await counted_by(counter, completion("x" * size)))[1] for size in (97, 98)] == [How.BYTES, How.TOKENIZER]


async def test_token_ids_are_counted_without_a_tokenizer_and_text_is_estimated() -> None:
    assert await count(completion([5] * 7), None) == (7, How.IDS)
    assert await count(completion("x" * 98), None) == (50, How.ESTIMATE)


async def test_a_tokenizer_that_rewrites_text_first_counts_the_shortest_prompt() -> None:
    described = json.loads(FILE)
    described["normalizer"] = {"type": "NFC"}
    assert await count(completion("x"), Tokenizer.read(json.dumps(described).encode())) == (3, How.TOKENIZER)


async def test_prompts_beyond_those_that_wait_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    going_on, counted = threading.Event(), TOKENIZER.count

    def slow(text: str) -> int:
        going_on.wait()
        return counted(text)

    monkeypatch.setattr(TOKENIZER, "count", slow)
    counter, long = Counter(TOKENIZER, max_model_len=CONTEXT, decisive=2048), completion("word " * 1000)
    waiting = [asyncio.create_task(counted_by(counter, long)) for _ in range(counting.MOST_WAITING)]
    await asyncio.sleep(0)
    assert (await counted_by(counter, long))[1] is How.ESTIMATE
    waiting.pop().cancel()
    await asyncio.sleep(0)
    again = asyncio.create_task(counted_by(counter, long))
    going_on.set()
    assert {how for _, how in await asyncio.gather(*waiting, again)} == {How.TOKENIZER}


def test_tools_and_their_calls_are_part_of_the_prompt() -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "weather"}}]}
    text = text_of(
        request(messages=[{"role": "user", "content": "Hi"}, call], tools=tools).body, contract.CHAT_COMPLETIONS
    )
    assert text.text.count('"weather"') == 2
    assert text.around == TEMPLATE_TOKENS + 2 * MESSAGE_TOKENS + TOOLS_TOKENS


@pytest.mark.parametrize("file", [b"", b"\xff", b"{}", b"[]", b'{"model": {"type": "BPE"}}'])
def test_a_file_that_is_no_tokenizer_says_so(file: bytes) -> None:
    with pytest.raises(TokenizerError, match=r"it is no tokenizer\.json"):
        Tokenizer.read(file)
