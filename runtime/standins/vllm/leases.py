"""Keep prefilled KV blocks for their reader, for a limited time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Blocks = tuple[int, ...]


@dataclass(slots=True)
class _Lease:
    blocks: Blocks
    expires_at: float
    notifications: int = field(default=0)


class Leases:
    """Hold blocks by request id until every reader has notified or the lease runs out.

    Times are seconds of one monotonic clock, passed in. Whoever is returned blocks must free them.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._leases: dict[str, _Lease] = {}

    def __len__(self) -> int:
        return len(self._leases)

    def grant(self, request_id: str, blocks: Blocks, *, now: float) -> None:
        """Keep blocks for the readers of a request."""
        self._leases[request_id] = _Lease(blocks, now + self._seconds)

    def read(self, request_id: str, readers: int) -> Blocks | None:
        """Count one reader of ``readers`` and return the blocks after the last; raise ``KeyError`` without lease."""
        lease = self._leases[request_id]
        lease.notifications += 1
        if lease.notifications < readers:
            return None
        return self._leases.pop(request_id).blocks

    def extend(self, request_ids: Iterable[str], *, now: float) -> None:
        """Let leases last two thirds of their length from now or longer, as a vLLM heartbeat does."""
        for request_id in request_ids:
            if lease := self._leases.get(request_id):
                lease.expires_at = max(lease.expires_at, now + self._seconds * 2 / 3)

    def expire(self, *, now: float) -> dict[str, Blocks]:
        """End the leases that have run out and return their blocks by request id."""
        ended = [request_id for request_id, lease in self._leases.items() if lease.expires_at <= now]
        return {request_id: self._leases.pop(request_id).blocks for request_id in ended}
