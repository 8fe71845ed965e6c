"""Keep prefilled KV blocks for their reader, for a limited time: the producer's state machine, without I/O or clock.

    held ──last reader notified──► read
      ├────time is up────────────► expired
      └────the producer gave up──► aborted       each frees the blocks, once

A lease is named by a request id that is never used twice, so each event may come again, late or in any order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

Blocks = tuple[int, ...]

_REMEMBERED: Final = 10_000


class Notice(StrEnum):
    """Say what a reader's notification meant."""

    COUNTED = "counted"
    """Other readers of the request are still to come."""
    FREED = "freed"
    """It was the last: its blocks are to be freed."""
    REPEATED = "repeated"
    """It was known already, and changes nothing."""
    LATE = "late"
    """There is no such lease any more: what was read may have been overwritten meanwhile."""


@dataclass(slots=True)
class _Lease:
    blocks: Blocks
    expires_at: float
    readers: set[str] = field(default_factory=set)


class Leases:
    """Hold blocks by request id until every reader has notified or the lease runs out.

    Times are seconds of one monotonic clock, passed in. Whoever is returned blocks must free them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._leases: dict[str, _Lease] = {}
        self._read: deque[str] = deque(maxlen=_REMEMBERED)

    def __len__(self) -> int:
        return len(self._leases)

    def grant(self, request_id: str, blocks: Blocks, *, now: float) -> None:
        """Keep blocks for the readers of a request; raise ``ValueError`` if its id has a lease already."""
        if request_id in self._leases:
            raise ValueError(f"request {request_id!r} has a lease already, a new one needs a new id")
        self._leases[request_id] = _Lease(blocks, now + self._seconds)

    def read(self, request_id: str, *, sender: str, readers: int) -> tuple[Notice, Blocks]:
        """Count ``sender`` as one of ``readers``; return what that means, and the blocks that are to be freed."""
        lease = self._leases.get(request_id)
        if lease is None:
            return (Notice.REPEATED if request_id in self._read else Notice.LATE), ()
        if sender in lease.readers:
            return Notice.REPEATED, ()
        lease.readers.add(sender)
        if len(lease.readers) < readers:
            return Notice.COUNTED, ()
        self._read.append(request_id)
        return Notice.FREED, self._leases.pop(request_id).blocks

    def extend(self, request_ids: Iterable[str], *, now: float) -> None:
        """Let leases last two thirds of their length from now or longer, as a vLLM heartbeat does."""
        for request_id in request_ids:
            if lease := self._leases.get(request_id):
                lease.expires_at = max(lease.expires_at, now + self._seconds * 2 / 3)

    def expire(self, *, now: float) -> dict[str, Blocks]:
        """End the leases that have run out and return their blocks by request id."""
        ended = [request_id for request_id, lease in self._leases.items() if lease.expires_at <= now]
        return {request_id: self._leases.pop(request_id).blocks for request_id in ended}

    def abort(self, request_id: str) -> Blocks:
        """End a lease that no reader will be told of, and return its blocks; none if it has ended."""
        lease = self._leases.pop(request_id, None)
        return lease.blocks if lease else ()
