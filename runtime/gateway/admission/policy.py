"""Admit requests of many tenants to one gateway, so that none is slowed by another beyond its share.

Three things decide, in this order.

Rates, by token buckets.

Room: of the requests that run, and of the places where one waits, a tenant may hold at most ``GREED`` times as many as
are free (dynamic thresholds; Choudhury and Hahne, 1998). One tenant alone gets four fifths of all; however many it
sends and however long they run, whoever comes next finds room.

Turns: among those that wait, start-time fair queueing by tokens and weight (Goyal, Vin and Cheng, 1996). Unlike round
robin it needs no quantum as large as the largest request, and it is fair at any speed of what it feeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from runtime.gateway.admission.limits import Capacity, Limits
from runtime.gateway.admission.line import Line, Place

GREED: Final = 4


class Reason(StrEnum):
    """Say why a request was refused."""

    REQUEST_RATE = "request_rate"
    TOKEN_RATE = "token_rate"  # noqa: S105 - a reason
    QUEUE_FULL = "queue_full"
    WAITED = "waited"


@dataclass(frozen=True, slots=True)
class Refused:
    """Hold why, and in how many whole seconds the same request is taken if nobody else comes before."""

    reason: Reason
    retry_after: int


class Admission:
    """Hold who runs and who waits. Times are seconds of one clock and never go back.

    A place that ``offer`` returns runs already where nobody waits; of others, ``begin`` tells after ``offer`` and after
    ``leave`` who runs now.
    """

    def __init__(self, capacity: Capacity) -> None:
        self.running = 0
        self._capacity = capacity
        self._lines: dict[str, Line] = {}
        self._backlog: dict[str, Line] = {}
        self._waiting: dict[Place, None] = {}
        self._virtual = 0.0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def offer(self, tenant: str, limits: Limits, cost: int, now: float) -> Place | Refused:
        """Give a request of ``cost`` tokens a place, or say why not; ``limits`` hold from now on."""
        line = self._lines.get(tenant) or self._lines.setdefault(tenant, Line(limits))
        line.limits = limits
        by_requests, by_tokens = line.request_wait(now), line.token_wait(cost, now)
        at_once = not self._backlog and self._may_run(line)
        roomy = at_once or self._has_room(line)
        if by_requests or by_tokens or not roomy:
            by_room = 0.0 if roomy else self._until_room(line, tenant) - now
            rate = Reason.REQUEST_RATE if by_requests else Reason.TOKEN_RATE if by_tokens else None
            return _refused(rate or Reason.QUEUE_FULL, max(by_requests, by_tokens, by_room))
        line.charge(cost, now)
        place = Place(tenant, cost, now + self._capacity.wait_seconds)
        if at_once:
            self._run(line, place)
        else:
            line.waiting[place] = self._waiting[place] = None
            self._backlog[tenant] = line
        return place

    def begin(self) -> Iterator[Place]:
        """Yield each place that runs from now on, in order."""
        while self._backlog and (ready := [line for line in self._backlog.values() if self._may_run(line)]):
            line = ready[0] if len(ready) == 1 else min(ready, key=self._turn)
            place = line.first
            self._forget(place)
            self._run(line, place)
            yield place

    def leave(self, place: Place) -> None:
        """Take away a place whose request ended, or whose client left while it waited."""
        line = self._lines[place.tenant]
        if place.running:
            line.running -= 1
            self.running -= 1
        else:
            line.discharge(place.cost)
            self._forget(place)

    def expire(self, place: Place, now: float) -> Refused:
        """Take away a place that waited until its deadline.

        Whoever waits now is gone once another such time has passed: a request that comes then is the next to run.
        """
        self.leave(place)
        line = self._lines[place.tenant]
        waits = (self._capacity.wait_seconds, line.request_wait(now), line.token_wait(place.cost, now))
        return _refused(Reason.WAITED, max(waits))

    def _run(self, line: Line, place: Place) -> None:
        self._virtual = self._start(line)
        line.served = self._virtual + place.cost / line.limits.weight
        place.running = True
        line.running += 1
        self.running += 1

    def _turn(self, line: Line) -> tuple[float, float]:
        return self._start(line), line.first.deadline

    def _start(self, line: Line) -> float:
        """Return the virtual time at which a tenant's next request begins: time that it let pass is no credit."""
        return max(self._virtual, line.served)

    def _may_run(self, line: Line) -> bool:
        limit = line.limits.concurrency
        free = self._capacity.running - self.running
        return (limit is None or line.running < limit) and line.running < GREED * line.limits.weight * free

    def _has_room(self, line: Line) -> bool:
        return self._may_run(line) or self._may_wait(line, len(line.waiting), len(self._waiting))

    def _may_wait(self, line: Line, own: int, all_waiting: int) -> bool:
        return own < GREED * line.limits.weight * (self._capacity.waiting - all_waiting)

    def _until_room(self, line: Line, tenant: str) -> float:
        """Return when so many of those that wait have left, at their deadlines at the latest, that one more may."""
        own, left = len(line.waiting), len(self._waiting)
        for place in self._waiting:
            left -= 1
            own -= place.tenant == tenant
            if self._may_wait(line, own, left):
                return place.deadline
        raise AssertionError("an empty queue has room for everybody")

    def _forget(self, place: Place) -> None:
        line = self._lines[place.tenant]
        del line.waiting[place], self._waiting[place]
        if not line.waiting:
            del self._backlog[place.tenant]


def _refused(reason: Reason, seconds: float) -> Refused:
    return Refused(reason, max(1, math.ceil(seconds)))
