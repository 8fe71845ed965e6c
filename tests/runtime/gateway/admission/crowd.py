"""Drive an admission policy through simulated time: clients come, wait, run, leave and give up."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.gateway.admission.limits import Capacity, Limits
from runtime.gateway.admission.line import Place
from runtime.gateway.admission.policy import Admission, Refused


@dataclass
class Crowd:
    """Hold the events to come, and what became of whom; each request runs for ``seconds`` once it may."""

    capacity: Capacity
    limits: dict[str, Limits]
    seconds: Callable[[str], float] = lambda tenant: 1.0
    now: float = 0.0
    began: list[tuple[float, Place]] = field(default_factory=list)
    refused: list[tuple[float, str, int, Refused]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with nobody."""
        self.admission = Admission(self.capacity)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._begun: set[Place] = set()

    def at(self, time: float, event: Callable[[], None]) -> None:
        """Have something happen at a time."""
        heapq.heappush(self._events, (time, next(self._order), event))

    def come(self, time: float, tenant: str, cost: int = 1) -> None:
        """Have a request come."""
        self.at(time, lambda: self._offer(tenant, cost))

    def run(self) -> None:
        """Let everything happen."""
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def _offer(self, tenant: str, cost: int) -> None:
        found = self.admission.offer(tenant, self.limits[tenant], cost, self.now)
        if isinstance(found, Refused):
            self.refused.append((self.now, tenant, cost, found))
            return
        self.at(found.deadline, lambda: self._deadline(found))
        if found.running:
            self._runs(found)
        self._begin()

    def _begin(self) -> None:
        for place in self.admission.begin():
            self._runs(place)

    def _runs(self, place: Place) -> None:
        self.began.append((self.now, place))
        self._begun.add(place)
        self.at(self.now + self.seconds(place.tenant), lambda: self._end(place))

    def _end(self, place: Place) -> None:
        self.admission.leave(place)
        self._begin()

    def _deadline(self, place: Place) -> None:
        if place not in self._begun:
            self.refused.append((self.now, place.tenant, place.cost, self.admission.expire(place, self.now)))
            self._begin()
