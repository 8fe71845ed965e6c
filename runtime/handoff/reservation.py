"""Keep the books of an endpoint's KV memory: who holds how much of it, and until when; without I/O or clock.

waiting ──consumed by its ticket, once──► in use ──memory is free again──► finished
   ├──────time is up──────────► expired
   └──────withdrawn───────────► withdrawn
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from runtime.handoff.contract import Code, HandoffError

_REMEMBERED: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """Hold ``size`` bytes for one attempt of one request; times are seconds of the caller's monotonic clock."""

    reservation_id: str
    request_id: str
    attempt: int
    size: int
    max_tokens: int
    granted_at: float
    expires_at: float


def _unguessable() -> str:
    return secrets.token_urlsafe(16)  # it is half of what starts a decode


class Reservations:
    """Grant ``memory`` bytes in parts; a part that nobody consumes within ``ttl`` seconds comes back by itself.

    A reservation waits from ``grant`` until ``consume``, is then in use until ``finish``, and is consumed only once.
    Invariant: ``reserved_bytes <= memory``.
    """

    def __init__(self, *, memory: int, ttl: float, new_id: Callable[[], str] = _unguessable) -> None:
        self.memory = memory
        self.ttl = ttl
        self._new_id = new_id
        self._waiting: dict[str, Reservation] = {}
        self._in_use: dict[str, Reservation] = {}
        self._filling: dict[str, int] = {}
        self._finished: deque[str] = deque(maxlen=_REMEMBERED)

    def grant(self, size: int, *, request_id: str, attempt: int, max_tokens: int, now: float) -> Reservation:
        """Reserve ``size`` bytes; an attempt that asks again, its answer lost, is given what it holds already.

        Raises ``HandoffError``: ``capacity`` where less is free, ``invalid_request`` where an attempt asks otherwise
        than before.
        """
        if held := self._held_by(request_id, attempt, now=now):
            if (held.size, held.max_tokens) != (size, max_tokens):
                raise HandoffError(
                    Code.INVALID_REQUEST,
                    f"attempt {attempt} of {request_id[:80]!r} holds another reservation: count attempts up",
                )
            return held
        self._check_room(size, now=now)
        reservation = Reservation(
            reservation_id=self._new_id(),
            request_id=request_id,
            attempt=attempt,
            size=size,
            max_tokens=max_tokens,
            granted_at=now,
            expires_at=now + self.ttl,
        )
        self._waiting[reservation.reservation_id] = reservation
        return reservation

    def consume(self, reservation_id: str, *, request_id: str, attempt: int, now: float) -> Reservation:
        """Take an attempt's waiting reservation into use, once.

        Raises ``HandoffError`` (``reservation_unknown``) where none waits under this id for this very attempt.
        """
        self._expire(now)
        reservation = self._waiting.get(reservation_id)
        if reservation is None or (reservation.request_id, reservation.attempt) != (request_id, attempt):
            raise HandoffError(
                Code.RESERVATION_UNKNOWN,
                f"reservation {reservation_id!r} does not exist, was used, has expired or is another attempt's: "
                "reserve again",
            )
        del self._waiting[reservation_id]
        self._in_use[reservation_id] = reservation
        return reservation

    def resize(self, reservation_id: str, size: int, *, now: float) -> None:
        """Let a reservation in use hold ``size`` bytes; raise ``HandoffError`` (``capacity``) if it cannot grow."""
        reservation = self._in_use[reservation_id]
        self._check_room(size - reservation.size, now=now)
        self._in_use[reservation_id] = replace(reservation, size=size)

    def fill(self, reservation_id: str, size: int, *, now: float) -> bool:
        """Let READs write ``size`` bytes for a waiting reservation, held until ``filled``, whatever becomes of it.

        Return False, and hold nothing more, where none waits or the memory is not there.
        """
        self._expire(now)
        held = self._waiting.get(reservation_id)
        if held is None or reservation_id in self._filling:
            return False
        if size - held.size > self.memory - self.reserved_bytes(now=now):
            return False
        self._filling[reservation_id] = size
        return True

    def filled(self, reservation_id: str) -> None:
        """Note that nothing writes for a reservation any more but what its own use holds."""
        del self._filling[reservation_id]

    def waiting(self, *, now: float) -> Collection[str]:
        """Return the reservations that can still be consumed."""
        self._expire(now)
        return self._waiting.keys()

    def withdraw(self, reservation_id: str, *, now: float) -> None:
        """Give up a reservation that waits; one in use or unknown is left as it is."""
        self._expire(now)
        self._waiting.pop(reservation_id, None)

    def finish(self, reservation_id: str) -> None:
        """Free a reservation in use, once nothing can write into its memory any more."""
        del self._in_use[reservation_id]
        self._finished.append(reservation_id)

    def was_consumed(self, reservation_id: str) -> bool:
        """Tell whether a reservation is in use, or is among the last 1,000 that were."""
        return reservation_id in self._in_use or reservation_id in self._finished

    def count(self, *, now: float) -> int:
        """Return how many reservations wait, are in use or are still written to."""
        self._expire(now)
        return len({*self._waiting, *self._in_use, *self._filling})

    def reserved_bytes(self, *, now: float) -> int:
        """Return how much of the memory is held."""
        self._expire(now)
        waiting = sum(held.size for name, held in self._waiting.items() if name not in self._filling)
        return waiting + sum(held.size for held in self._in_use.values()) + sum(self._filling.values())

    def _held_by(self, request_id: str, attempt: int, *, now: float) -> Reservation | None:
        self._expire(now)
        asked = (request_id, attempt)
        return next((held for held in self._waiting.values() if (held.request_id, held.attempt) == asked), None)

    def _check_room(self, size: int, *, now: float) -> None:
        free = self.memory - self.reserved_bytes(now=now)
        if size > free:
            raise HandoffError(
                Code.CAPACITY,
                f"{size} bytes of KV memory are needed, {free} of {self.memory} are free: try again later",
            )

    def _expire(self, now: float) -> None:
        # all wait equally long, so the first that was granted is the first to expire
        while (oldest := next(iter(self._waiting.values()), None)) and oldest.expires_at <= now:
            del self._waiting[oldest.reservation_id]
