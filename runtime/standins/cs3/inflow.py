"""Read one prompt's KV while its worker computes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from runtime.handoff import fields
from runtime.handoff.acceptance import Accepted, Life
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import digest, layout
from runtime.handoff.kv.cache import Cache
from runtime.handoff.kv.digest import Digester
from runtime.handoff.kv.memory import Integers
from runtime.handoff.kv.piece import piece
from runtime.handoff.kv.plan import plan
from runtime.handoff.stream import Credit, Following, Offer
from runtime.standins.engine.engine import Engine
from runtime.standins.reader import pull
from runtime.standins.reader.link import READ_SECONDS, Address, Link, Peer

log = logging.getLogger(__name__)

READ_BYTES: Final = 8 * 2**20
"""The most that one READ of a stream brings: some milliseconds of loopback."""


class Inflow:
    """Follow a worker's offers into ``cache``; ``release`` is called once the memory is of no more use to the stream.

    Until ``adopt`` the memory is the stream's own. What was read proves nothing before ``verify``.
    """

    def __init__(self, offer: Offer, engine: Engine, link: Link, *, capacity: int, release: Callable[[], None]) -> None:
        self.capacity = capacity
        self.cache = engine.new_cache(capacity)
        self.kv_bytes = self._read_bytes = 0
        self.late_bytes = 0
        """How much was still to be read when prefill had ended."""
        self._offer, self._geometry, self._link = offer, engine.geometry, link
        limit = READ_BYTES * engine.geometry.layers // engine.geometry.kv_bytes_per_token
        self._following = Following(engine.geometry.layers, offer.tokens, limit)
        self._news = asyncio.Event()
        self._release: Callable[[], None] | None = release
        self._settled: Callable[[], None] | None = None
        self._writing = self._dropped = False
        self.hear(offer)
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    @property
    def dropped(self) -> bool:
        """Whether it was given up, or has failed."""
        return self._dropped

    def hear(self, offer: Offer) -> None:
        """Take note of how far the worker has come; raise ``ValueError`` where it contradicts what it said before."""
        self._following.told(offer)
        self._news.set()

    def is_of(self, accepted: Accepted) -> bool:
        """Tell whether this is the very KV that a decode request is about, sealed as it was announced."""
        offer, claims, seal = self._offer, accepted.ticket, accepted.seal
        return bool(
            seal
            and (offer.engine_id, offer.generation) == (accepted.life.engine_id, accepted.life.generation)
            and (offer.request_id, offer.tokens) == (claims.remote_request_id, claims.num_tokens)
            and f"{offer.host}:{offer.port}" == claims.remote_address
            and [list(offer.blocks)] == accepted.params[fields.REMOTE_BLOCK_IDS]
            and offer.digest_tokens == seal.block_tokens
        )

    def adopt(self, settled: Callable[[], None]) -> None:
        """Give the memory to a reservation in use; ``settled`` is called once no READ can write into it any more."""
        self._settled = settled
        self._let_go()
        self._settle()

    async def finish(self, *, seconds: float) -> None:
        """Read the rest, now that prefill has ended; raise ``HandoffError`` on failure or after ``seconds``."""
        self.late_bytes = self._offer.tokens * self._geometry.kv_bytes_per_token - self._read_bytes
        self._following.complete()
        self._news.set()
        try:
            await asyncio.wait_for(asyncio.shield(self._task), seconds)
        except TimeoutError as error:
            raise HandoffError(Code.KV_TRANSFER, f"the rest of a stream took over {seconds:.3f} s") from error

    def verify(self, accepted: Accepted) -> None:
        """Raise ``HandoffError`` (``kv_corrupt``) unless all KV is what the seal says."""
        if accepted.seal is None:
            raise RuntimeError("a stream is adopted only where there is a seal")
        digest.compare(self._task.result(), accepted.seal)

    def drop(self) -> None:
        """Give the stream up; again, and after it has ended, it does no harm."""
        self._dropped = True
        self._task.cancel()
        self._settle()

    async def _run(self) -> bytes:
        """Read all of it, and return its digests."""
        peer = await self._link.connect(self._address())
        pairs = self._plan(peer)
        self.kv_bytes = int(pairs[:, 2].sum())
        digester = self._digester(peer.metadata.block_size)
        target = pull.f16(self._geometry, layout.TOKEN_MAJOR, self.capacity)
        with self._link.receiving(self.cache, self._end_of_writing):
            self._writing = True
            while not self._following.whole:
                front, ahead = self._following.front, self._following.next()
                if ahead is None:
                    self._news.clear()
                    await self._news.wait()
                    continue
                part = piece(pairs, target, self.cache.ctypes.data, front, ahead)
                self._read_bytes += await self._link.read(peer, part, seconds=READ_SECONDS)
                number = self._following.read()
                self._link.tell(peer, Credit(self._offer.stream, number).message())
                await asyncio.to_thread(digester.advance_to, self._following.front, self.cache)
        return digester.digests()

    def _digester(self, block_size: int) -> Digester:
        layers, halves, _, _, *vector = self.cache.shape
        shape = (layers, halves, self._offer.tokens, *vector)
        return Digester(shape, self.cache.dtype, self._offer.digest_tokens, block_size)

    def _plan(self, peer: Peer) -> Integers:
        """Return all that is to be read; raise ``HandoffError`` where it cannot land in the cache as it is."""
        remote, geometry = peer.metadata, self._geometry
        worker = pull.describe(remote, geometry)
        pull.check_layout(remote, worker, geometry)
        blocks = pull.needed_blocks(
            [list(self._offer.blocks)],
            self._offer.tokens,
            block_size=remote.block_size,
            num_blocks=remote.num_blocks,
        )
        target = pull.f16(geometry, layout.TOKEN_MAJOR, self.capacity)
        block = self.cache.reshape(1, *target.block_shape())
        ours = Cache(description=target, ranks=((block,),), block_ids=((0,),))
        (transfer,) = plan(pull.holding(remote, worker, blocks), ours.holding(), self._offer.tokens).transfers
        return transfer.pairs

    def _address(self) -> Address:
        life = Life(self._offer.engine_id, self._offer.generation)
        return Address(host=self._offer.host, port=self._offer.port, life=life)

    def _end_of_writing(self) -> None:
        self._writing = False
        self._settle()

    def _ended(self, task: asyncio.Task[bytes]) -> None:
        if error := None if task.cancelled() else task.exception():
            log.warning("stream for %s ended: %s", self._offer.request_id, error)
        self._dropped |= task.cancelled() or error is not None
        self._settle()

    def _settle(self) -> None:
        """Give the memory away once nothing writes into it any more: a READ that was given up may outlast its task."""
        if self._writing or not self._task.done():
            return
        if self._settled:
            self._settled()
        elif self._dropped:
            self._let_go()
        self._settled = None

    def _let_go(self) -> None:
        if self._release:
            self._release()
        self._release = None
