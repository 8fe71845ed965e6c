"""Choose a worker for each request."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from runtime.handoff.contract import Code, HandoffError

RETRIES: Final = 2
"""How often a request goes to a worker again, or to another, where the one before has seen nothing of it."""


@dataclass(frozen=True, order=True, slots=True)
class Address:
    """Name a vLLM server by the address and port that it registered."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, order=True, slots=True)
class Worker:
    """Hold a vLLM server as one run of it proved itself: the ``digest`` of its certificate, and the key it asks for."""

    address: Address
    digest: str
    key: str = field(repr=False)

    def __str__(self) -> str:
        return str(self.address)

    @property
    def host(self) -> str:
        """The address without the port."""
        return self.address.host

    @property
    def url(self) -> str:
        """The base URL of its HTTP server."""
        return f"https://{self.address}"


def pick(workers: Sequence[Worker], in_flight: Mapping[Worker, int], turn: int) -> Worker:
    """Return the worker with the fewest requests in flight; among equals ``turn`` goes round.

    ``workers`` must not be empty.
    """
    start = turn % len(workers)
    rotated = [*workers[start:], *workers[:start]]
    return min(rotated, key=lambda worker: in_flight.get(worker, 0))


class Pool:
    """Lend workers of one stage; ``discovered`` returns those known now, ``absent`` is the code where there is none.

    ``renew`` asks one worker anew for its state and certificate, and blocks meanwhile.
    """

    def __init__(
        self,
        discovered: Callable[[], Sequence[Worker]],
        renew: Callable[[Worker], None],
        *,
        stage: str,
        absent: Code,
    ) -> None:
        self._discovered, self._renew = discovered, renew
        self._stage = stage
        self._absent = absent
        self._in_flight: Counter[Worker] = Counter()
        self._turn = 0

    @property
    def lack(self) -> str | None:
        """Why no worker can be lent, or None."""
        return None if self._discovered() else f"no {self._stage} worker is known"

    async def renew(self, worker: Worker) -> None:
        """Ask a worker that did not take a request whether it is another run by now, or none."""
        await asyncio.to_thread(self._renew, worker)

    @contextmanager
    def borrow(self) -> Iterator[Worker]:
        """Lend a worker for one request; raise ``HandoffError`` where none is known."""
        workers = self._discovered()
        if not workers:
            raise HandoffError(self._absent, f"no {self._stage} worker is known: try again later")
        worker = pick(workers, self._in_flight, self._turn)
        self._turn += 1
        self._in_flight[worker] += 1
        try:
            yield worker
        finally:
            self._in_flight[worker] -= 1
            self._in_flight += Counter()  # forget workers that are idle, so that departed ones do not pile up
