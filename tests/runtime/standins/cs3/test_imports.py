"""An import takes memory only once its reservation holds as much."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.handoff import fields
from runtime.handoff.acceptance import Accepted, Life
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import layout
from runtime.handoff.kv.cache import Cache
from runtime.handoff.reservation import Reservations
from runtime.handoff.ticket import Ticket
from runtime.standins.cs3.chat import ChatRequest
from runtime.standins.cs3.imports import Importer
from runtime.standins.cs3.phases import Phases
from runtime.standins.cs3.streams import Streams
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from runtime.standins.reader.link import Address, Link, Peer
from runtime.standins.reader.pull import f16
from tests.patience import LONG_SECONDS
from tests.runtime.standins.handshake import handshake

TOKENS, BLOCK = 20, 16
PARAMS: dict[str, Any] = {
    fields.REMOTE_ENGINE_ID: "engine",
    fields.REMOTE_REQUEST_ID: "q",
    fields.REMOTE_BLOCK_IDS: [[1, 0]],
    fields.REMOTE_HOST: "127.77.0.9",
    fields.REMOTE_PORT: 5559,
    fields.REMOTE_NUM_TOKENS: TOKENS,
}
CLAIMS = {"tenant": "t", "request_id": "r", "attempt": 1, "model": "m", "expires_at": 9e9}
CHAT = ChatRequest(
    model="m",
    messages=[],
    max_tokens=4,
    sampling=Sampling(),
    stop=(),
    stream=False,
    include_usage=False,
    return_token_ids=False,
    kv_transfer_params=PARAMS,
)


class OneWorker(Link):
    """Reach a worker that is in this process, and read nothing of it."""

    def __init__(self, worker: Cache) -> None:
        self._worker, self.metadata = worker, b""

    async def connect(self, address: Address) -> Peer:
        """Return the worker."""
        life = Life("engine", "")
        return Peer(address=address, name="w", metadata=handshake(self._worker), life=life, compatibility="")

    async def notify(self, address: Address, message: bytes) -> None:
        """Take no notice."""


@pytest.mark.parametrize("layout_name", ["NHD", "HND"])
async def test_what_no_reservation_can_hold_is_never_taken(layout_name: str) -> None:
    taken: list[int] = []

    def take(nbytes: int) -> NDArray[np.uint8]:
        taken.append(nbytes)
        return np.zeros(nbytes, np.uint8)

    engine = Engine.load(take=take)
    worker = Cache.allocate(f16(engine.geometry, getattr(layout, layout_name), BLOCK), 2, [[1, 0]])
    reservations, link = Reservations(memory=1, ttl=LONG_SECONDS), OneWorker(worker)
    granted = reservations.grant(1, request_id="r", attempt=1, max_tokens=4, now=0)
    reservation = reservations.consume(granted.reservation_id, request_id="r", attempt=1, now=0)
    ticket = Ticket.for_params(
        PARAMS, **CLAIMS, reservation_id=granted.reservation_id, lease_ms=10**9, prefill_gap_ms=0
    )
    importer = Importer(engine, reservations, link, Streams(engine, reservations, link), worker_kv=worker.description)
    accepted = Accepted(params=PARAMS, ticket=ticket, seal=None)
    with pytest.raises(HandoffError) as refused:
        async with importer.imported(CHAT, list(range(TOKENS)), accepted, reservation, Phases()):
            pass
    assert (refused.value.code, taken) == (Code.CAPACITY, [])
    await importer.close(timeout=LONG_SECONDS)
