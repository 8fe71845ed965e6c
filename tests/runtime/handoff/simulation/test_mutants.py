"""Break one check of the production code at a time: the matrix must notice each."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from runtime.handoff import fence, stream, ticket
from runtime.handoff.acceptance import Life
from runtime.handoff.fence import NOTHING, Action, Fence
from runtime.handoff.kv import digest
from runtime.handoff.lease import Leases, Notice
from runtime.handoff.reservation import Reservations
from runtime.handoff.stream import Following, Telling
from runtime.handoff.ticket import Ticket
from tests.runtime.handoff.simulation.run import run

SCHEDULES: Final = 6_000
Patch = pytest.MonkeyPatch

_consume, _end, _read, _reading = Reservations.consume, Fence.end, Leases.read, Fence.reading
_fill, _verify = Reservations.fill, ticket.verify


def _granted_when_consumed(book: Reservations, *words: Any, now: float, **more: Any) -> Any:
    return replace(_consume(book, *words, now=now, **more), granted_at=now)


def _consumed_again(book: Reservations, reservation_id: str, **more: Any) -> Any:
    held = _consume(book, reservation_id, **more)
    book._waiting[reservation_id] = held
    return held


def _freed_again(leases: Leases, request_id: str, **more: Any) -> Any:
    held = leases._leases.get(request_id)
    notice, blocks = _read(leases, request_id, **more)
    if held and notice is Notice.FREED:
        leases._leases[request_id] = held
        held.readers.clear()
    return notice, blocks


def _free_at_once(attempt: Fence) -> Any:
    attempt._writing = False
    return _end(attempt)


def _all_layers(telling: Telling, layer: int, tokens: int) -> None:
    telling._front = [tokens] * len(telling._front)


def _filled_anyway(book: Reservations, reservation_id: str, size: int, *, now: float) -> bool:
    memory, book.memory = book.memory, 10**9
    try:
        return _fill(book, reservation_id, size, now=now)
    finally:
        book.memory = memory


def _unread(following: Following) -> int:
    following._reading = None
    return following._number


def _any_time(patch: Patch) -> None:
    patch.setattr(Fence, "_check_lease", lambda *_: None)
    patch.setattr(Fence, "reading", lambda attempt, now: _reading(attempt, now=now) + 1e9)


MUTANTS: Final[dict[str, Callable[[Patch], None]]] = {
    "a late READ counts": _any_time,
    "clocks run alike": lambda patch: patch.setattr(fence, "CLOCK_DRIFT", 0.0),
    "the lease is counted from the decode request": lambda patch: patch.setattr(
        Reservations, "consume", _granted_when_consumed
    ),
    "content is not verified": lambda patch: patch.setattr(digest, "compare", lambda *_: None),
    "any worker will do": lambda patch: patch.setattr(Life, "check", lambda *_: None),
    "any signature will do": lambda patch: patch.setattr(hmac, "compare_digest", lambda *_: True),
    "tickets never expire": lambda patch: patch.setattr(
        "runtime.handoff.acceptance.ticket.verify", lambda token, keys, now: _verify(token, keys, now=-1e12)
    ),
    "a ticket covers any blocks": lambda patch: patch.setattr(Ticket, "covers", lambda *_: True),
    "a reservation is consumed twice": lambda patch: patch.setattr(Reservations, "consume", _consumed_again),
    "memory is freed under a READ": lambda patch: patch.setattr(Fence, "end", _free_at_once),
    "memory is never freed": lambda patch: patch.setattr(Fence, "_free", lambda _: NOTHING),
    "memory is freed each time": lambda patch: patch.setattr(Fence, "_free", lambda _: frozenset({Action.FREE})),
    "the worker is never told": lambda patch: patch.setattr(Fence, "_notify", lambda _: NOTHING),
    "a notification frees each time": lambda patch: patch.setattr(Leases, "read", _freed_again),
    "offers need no credit": lambda patch: patch.setattr(stream, "CREDITS", 1000),
    "layers are told before they are written": lambda patch: patch.setattr(Telling, "wrote", _all_layers),
    "memory of a stream is never freed": lambda patch: patch.setattr(Reservations, "filled", lambda *_: None),
    "a stream needs no memory": lambda patch: patch.setattr(Reservations, "fill", _filled_anyway),
    "a front is read twice": lambda patch: patch.setattr(Following, "read", _unread),
    "heartbeats hold nothing": lambda patch: patch.setattr(Leases, "extend", lambda *_, **__: None),
    "leases never expire": lambda patch: patch.setattr(Leases, "expire", lambda *_, **__: {}),
    "reservations never expire": lambda patch: patch.setattr(Reservations, "_expire", lambda *_: None),
    "memory has no end": lambda patch: patch.setattr(Reservations, "_check_room", lambda *_, **__: None),
    "blocks go while another call reads them": lambda patch: patch.setattr(
        Reservations, "was_consumed", lambda *_: False
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_is_noticed(name: str, monkeypatch: Patch) -> None:
    MUTANTS[name](monkeypatch)
    assert any(run(seed).violations for seed in range(SCHEDULES))
