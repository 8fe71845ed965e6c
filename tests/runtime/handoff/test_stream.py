"""Both ends of a stream, with whatever a network does to what they say."""

from __future__ import annotations

import itertools
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.stream import CREDITS, Credit, Following, Front, Offer, Telling, invitation

LAYERS = 3
TOKENS = 40
OFFER = Offer(
    stream="s",
    host="10.0.0.1",
    port=5600,
    engine_id="engine",
    generation="g",
    request_id="r",
    blocks=(3, 1, 2),
    tokens=TOKENS,
    digest_tokens=16,
    front=(16, 16, 0),
    number=1,
)


def test_what_is_said_is_heard() -> None:
    assert Offer.parse(OFFER.message()) == OFFER
    assert Credit.parse(Credit("s", 7).message()) == Credit("s", 7)
    assert Offer.parse(Credit("s", 7).message()) is None
    assert Credit.parse(b"request:1") is None


@pytest.mark.parametrize(
    "change",
    [
        {"front": []},
        {"front": [0, 1, 0]},
        {"front": [41, 0, 0]},
        {"front": [16, -1, -1]},
        {"front": [16, True, 0]},
        {"front": 7},
        {"blocks": ["a"]},
        {"tokens": 40.0},
        {"digest_tokens": 0},
        {"engine_id": ""},
        {"stream": 1},
        {"more": 1},
    ],
)
def test_an_unusable_offer_is_refused(change: dict[str, Any]) -> None:
    prefix, body = OFFER.message().split(b":", 1)
    with pytest.raises(ValueError, match="offer"):
        Offer.parse(prefix + b":" + json.dumps(json.loads(body) | change).encode())


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"[1]", b'["s", "1"]', b"[" * 100_000, b"\xff"])
def test_nonsense_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Offer.parse(b"TANDEM-OFFER:" + body)
    with pytest.raises(ValueError, match=r".*"):
        Credit.parse(b"TANDEM-CREDIT:" + body)


def test_credit_bounds_what_is_told() -> None:
    telling = Telling(OFFER, LAYERS)
    assert telling.due() is None
    told = []
    for tokens in range(1, 10):
        telling.wrote(0, tokens)
        if offer := telling.due():
            told.append(offer.front)
    assert told == [(1, 0, 0), (2, 0, 0)]
    assert len(told) == CREDITS
    telling.credited(1)
    offer = telling.due()
    assert offer is not None
    assert (offer.front, offer.number) == ((9, 0, 0), 3)  # what came meanwhile is one offer
    telling.credited(99)  # who gives more than was told gets no more
    telling.wrote(1, 9)
    telling.wrote(2, 9)
    assert telling.due() is not None
    assert telling.due() is None  # nothing new


def test_a_front_between_two_updates_says_less() -> None:
    telling = Telling(OFFER, LAYERS)
    telling.wrote(0, 4)
    telling.wrote(2, 8)  # as a thread sees it that read layer 1 too early
    offer = telling.due()
    assert offer is not None
    assert offer.front == (4, 0, 0)


def test_an_offer_of_another_prompt_or_model_is_refused() -> None:
    for following in (Following(LAYERS, TOKENS + 1, 8), Following(LAYERS + 1, TOKENS, 8)):
        with pytest.raises(ValueError, match="offer is of"):
            following.told(OFFER)


def test_one_read_at_a_time() -> None:
    following = Following(LAYERS, TOKENS, 8)
    with pytest.raises(RuntimeError, match="no READ"):
        following.read()
    following.told(OFFER)
    assert following.next() == (8, 0, 0)
    assert following.next() is None
    assert following.read() == 0  # no credit before all of the offer was read


fronts = st.lists(st.integers(0, LAYERS * TOKENS), max_size=30).map(sorted)


@given(fronts, st.integers(1, 100), st.integers(0, 2**32))
def test_everything_is_read_once_however_offers_travel(steps: list[int], limit: int, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - orders of messages, no secrets
    telling, following = Telling(OFFER, LAYERS), Following(LAYERS, TOKENS, limit)
    wire: list[Offer] = []
    read: list[tuple[Front, Front]] = []
    written: Front = (0,) * LAYERS

    def deliver() -> None:
        random.shuffle(wire)
        while wire and random.random() < 0.7:
            offer = wire.pop()
            if random.random() < 0.3:
                continue  # lost
            for _ in range(random.choice([1, 2])):
                following.told(offer)

    def drain() -> None:
        while ahead := following.next():
            read.append((following.front, ahead))
            assert all(to <= there for to, there in zip(ahead, written, strict=True))
            assert sum(ahead) - sum(following.front) <= limit
            telling.credited(following.read())

    for step in steps:
        for layer in range(LAYERS):
            telling.wrote(layer, min(TOKENS, step // (layer + 1)))
        written = tuple(min(TOKENS, step // (layer + 1)) for layer in range(LAYERS))
        while offer := telling.due():
            wire.append(offer)
            assert len(wire) <= 10 * CREDITS
        deliver()
        drain()
    written = (TOKENS,) * LAYERS
    following.complete()
    drain()
    assert following.whole
    assert all(after == before for (_, after), (before, _) in itertools.pairwise(read))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, None),
        ({"tandem": {"stream": {"id": "s", "agent": "YQ=="}}}, ("s", "YQ==")),
        ({"tandem": {"stream": {"id": "s"}}}, None),
        ({"tandem": {"stream": {"id": 1, "agent": "YQ=="}}}, None),
        ({"tandem": None}, None),
    ],
)
def test_an_invitation_is_whole_or_none(params: dict[str, Any], expected: tuple[str, str] | None) -> None:
    assert invitation(params) == expected
