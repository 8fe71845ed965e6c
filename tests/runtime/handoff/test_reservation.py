"""The books of KV memory always add up."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.reservation import Reservation, Reservations

MEMORY = 100
TTL = 10.0
REQUESTS = itertools.count()
SIZES = st.integers(1, 60)
# an operation is (name, which reservation, size or seconds)
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["grant", "consume", "resize", "withdraw", "finish", "wait"]), st.integers(0, 4), SIZES)
)


def grant(book: Reservations, size: int = 10, now: float = 0.0) -> str:
    return book.grant(size, request_id=f"r{next(REQUESTS)}", attempt=1, max_tokens=1, now=now).reservation_id


def consume(book: Reservations, name: str, now: float) -> Reservation:
    """Consume as whoever reserved."""
    held = book._waiting.get(name)
    request_id = held.request_id if held else "unknown"
    return book.consume(name, request_id=request_id, attempt=1, now=now)


def is_full(error: HandoffError) -> bool:
    return error.code is Code.CAPACITY


def is_unknown(error: HandoffError) -> bool:
    return error.code is Code.RESERVATION_UNKNOWN


def test_what_is_granted_is_held_until_it_is_finished() -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    name = grant(book, 70)
    with pytest.raises(HandoffError, check=is_full):
        grant(book, 31)
    consume(book, name, now=1.0)
    assert (book.count(now=1.0), book.reserved_bytes(now=1.0)) == (1, 70)
    book.finish(name)
    assert (book.count(now=1.0), book.reserved_bytes(now=1.0)) == (0, 0)


def test_a_reservation_is_consumed_once() -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    name = grant(book)
    consume(book, name, now=0.0)
    with pytest.raises(HandoffError, check=is_unknown):
        consume(book, name, now=0.0)
    book.finish(name)
    with pytest.raises(HandoffError, check=is_unknown):
        consume(book, name, now=0.0)
    assert book.was_consumed(name)


def test_an_unused_reservation_ends_exactly_at_its_ttl() -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    early, late = grant(book), grant(book)
    consume(book, early, now=TTL - 0.001)
    with pytest.raises(HandoffError, check=is_unknown):
        consume(book, late, now=TTL)
    assert book.reserved_bytes(now=1000.0) == 10, "one in use must not expire"


def test_a_reservation_in_use_grows_only_into_free_memory() -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    first, second = grant(book, 40), grant(book, 40)
    consume(book, first, now=0.0)
    book.resize(first, 60, now=0.0)
    with pytest.raises(HandoffError, check=is_full):
        book.resize(first, 61, now=0.0)
    book.withdraw(second, now=0.0)
    book.resize(first, 100, now=0.0)
    assert book.reserved_bytes(now=0.0) == 100


def test_withdrawing_is_idempotent_and_leaves_what_is_in_use() -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    waiting, used = grant(book), grant(book)
    consume(book, used, now=0.0)
    for name in (waiting, waiting, used, "unknown"):
        book.withdraw(name, now=0.0)
    assert (book.count(now=0.0), book.was_consumed(used), book.was_consumed(waiting)) == (1, True, False)


@given(OPERATIONS)
def test_memory_is_never_oversold_and_always_comes_back(operations: list[tuple[str, int, int]]) -> None:
    book, now, names, in_use = Reservations(memory=MEMORY, ttl=TTL), 0.0, ["unknown"], set[str]()
    for what, which, amount in operations:
        name = names[which % len(names)]
        with suppress(HandoffError):
            if what == "grant":
                names.append(grant(book, amount, now))
            elif what == "consume":
                consume(book, name, now=now)
                in_use.add(name)
            elif what == "withdraw":
                book.withdraw(name, now=now)
            elif what == "wait":
                now += amount / 10
            elif name in in_use and what == "resize":
                book.resize(name, amount, now=now)
            elif name in in_use:
                in_use.remove(name)
                book.finish(name)
        assert 0 <= book.reserved_bytes(now=now) <= MEMORY
    for name in in_use:
        book.finish(name)
    assert (book.count(now=now + TTL), book.reserved_bytes(now=now + TTL)) == (0, 0)


def test_an_attempt_that_asks_again_is_given_what_it_holds() -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    asked = {"request_id": "r", "attempt": 1, "max_tokens": 1, "now": 0.0}
    first = book.grant(60, **asked)  # type: ignore[arg-type]  # the dict holds several types
    assert book.grant(60, **asked) == first  # type: ignore[arg-type]  # as above
    assert book.count(now=0.0) == 1
    with pytest.raises(HandoffError, match="count attempts up"):
        book.grant(61, **asked)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("other", [("q", 1), ("r", 2)])
def test_a_reservation_serves_its_own_attempt_only(other: tuple[str, int]) -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    name = book.grant(1, request_id="r", attempt=1, max_tokens=1, now=0.0).reservation_id
    with pytest.raises(HandoffError, check=is_unknown):
        book.consume(name, request_id=other[0], attempt=other[1], now=0.0)
    book.consume(name, request_id="r", attempt=1, now=0.0)


def test_what_is_filled_is_held_whatever_becomes_of_its_reservation() -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    name = grant(book, 40)
    assert not book.fill("unknown", 1, now=0.0)
    assert not book.fill(name, MEMORY + 1, now=0.0)
    assert book.fill(name, 50, now=0.0)
    assert not book.fill(name, 50, now=0.0)
    assert book.reserved_bytes(now=0.0) == 50
    book.withdraw(name, now=0.0)
    assert (book.reserved_bytes(now=TTL), book.count(now=TTL)) == (50, 1)
    assert name not in book.waiting(now=TTL)
    with pytest.raises(HandoffError, match="are free"):
        grant(book, 60, now=TTL)
    book.filled(name)
    assert (book.reserved_bytes(now=TTL), book.count(now=TTL)) == (0, 0)


def test_what_is_filled_for_a_reservation_in_use_counts_beside_it() -> None:
    book = Reservations(memory=MEMORY, ttl=TTL)
    name = grant(book, 40)
    assert book.fill(name, 50, now=0.0)
    consume(book, name, 0.0)
    assert (book.reserved_bytes(now=0.0), book.count(now=0.0)) == (90, 1)
    book.filled(name)
    assert book.reserved_bytes(now=0.0) == 40
