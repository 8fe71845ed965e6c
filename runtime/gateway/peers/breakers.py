"""Keep a circuit breaker for each peer of one kind."""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.gateway.routing.breaker import Breaker

_CLOSED = Breaker()


class Breakers:
    """Follow peers by name; only those that failed lately take memory. ``clock`` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._troubled: dict[str, Breaker] = {}

    def admits(self, name: str) -> bool:
        """Tell whether a peer may be asked."""
        breaker = self._troubled.get(name)
        return breaker is None or breaker.admits(self._clock())

    def asked(self, name: str) -> None:
        """Note that a peer is asked."""
        if name in self._troubled:
            self._troubled[name] = self._troubled[name].asked(self._clock())

    def answered(self, name: str) -> None:
        """Note that a peer is there, which says nothing of how its answer ends."""
        if name in self._troubled:
            self._troubled[name] = self._troubled[name].answered()

    def succeeded(self, name: str) -> None:
        """Note that a peer did what it was asked."""
        self._troubled.pop(name, None)

    def failed(self, name: str) -> None:
        """Note that a peer failed."""
        self._troubled[name] = self._troubled.get(name, _CLOSED).fail(self._clock())

    def keep(self, names: set[str]) -> None:
        """Forget peers that are gone."""
        for gone in self._troubled.keys() - names if self._troubled else ():
            del self._troubled[gone]
