"""Read KV while it is computed: the real bookkeeping of a stream, driven as the emulator drives it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from runtime.handoff import fields
from runtime.handoff.acceptance import Accepted
from runtime.handoff.kv import digest
from runtime.handoff.kv.element import Stored
from runtime.handoff.stream import Credit, Following, Offer
from tests.runtime.handoff.simulation.worker import BLOCK_TOKENS, LAYERS
from tests.runtime.handoff.simulation.world import Fault

if TYPE_CHECKING:
    from tests.runtime.handoff.simulation.reader import Import, Reader

READ_SECONDS: Final = 10.0


class Inflow:
    """Hold one stream; its memory is its own until ``adopt``."""

    def __init__(self, reader: Reader, offer: Offer) -> None:
        self.reader, self.world, self.offer = reader, reader.world, offer
        self.kv: Stored = np.zeros((LAYERS, 1, offer.tokens, 1, 1), np.uint16)
        self.digester = digest.Digester(self.kv.shape, self.kv.dtype, offer.digest_tokens, BLOCK_TOKENS)
        self.dropped = False
        self._following = Following(LAYERS, offer.tokens, limit=BLOCK_TOKENS * 2)
        self._life, self._memory = reader.worker.life, reader.worker.memory
        self._writing = self._released = False
        self._owner: Import | None = None
        self.hear(offer)

    def is_of(self, accepted: Accepted) -> bool:
        """Compare as the emulator does."""
        offer, claims = self.offer, accepted.ticket
        return (
            accepted.seal is not None
            and (offer.engine_id, offer.generation) == (accepted.life.engine_id, accepted.life.generation)
            and (offer.request_id, offer.tokens) == (claims.remote_request_id, claims.num_tokens)
            and [list(offer.blocks)] == accepted.params[fields.REMOTE_BLOCK_IDS]
        )

    def hear(self, offer: Offer) -> None:
        """Take note of how far the worker is."""
        self._following.told(offer)
        self._go_on()

    def adopt(self, owner: Import) -> None:
        """Give the memory to a reservation in use, and read the rest."""
        self._owner = owner
        self._let_go()
        self._following.complete()
        if not self._writing:
            self._go_on()

    def drop(self) -> None:
        """Give the stream up."""
        self.dropped = True
        if not self._writing:
            self._settle()

    def _go_on(self) -> None:
        if self.dropped:
            return
        front, ahead = self._following.front, self._following.next()
        if ahead is None:
            if self._owner and self._following.whole and not self._writing:
                self._owner.settled()
                self._owner.streamed()
            return
        self._writing = True
        lasts, mine = self._duration(), self.reader.life
        for layer, (start, stop) in enumerate(zip(front, ahead, strict=True)):
            at = lasts * self.world.random.uniform(0.5, 0.999)
            if start < stop and not (self.world.happens(Fault.TRUNCATED_REGION, 0.1)):
                self.world.after(at, None, partial(self._copy, layer, range(start, stop), mine))
        self.world.after(lasts, self.reader, self._read)

    def _duration(self) -> float:
        slow = self.world.happens(Fault.SLOW_LINK, 0.3)
        return self.world.random.uniform(1, READ_SECONDS) if slow else self.world.random.uniform(0.0005, 0.05)

    def _copy(self, layer: int, tokens: range, mine: int) -> None:
        if self.reader.life != mine or self.reader.worker.life != self._life:
            return
        if self._released and (self._owner is None or self._owner.freed):
            self.world.violated("a READ of a stream wrote into memory that was freed")
        for token in tokens:
            block = self._memory.get(self.offer.blocks[token // BLOCK_TOKENS])
            if block is not None:
                self.kv[layer, :, token] = block[layer, :, token % BLOCK_TOKENS]
        if self.world.happens(Fault.FLIPPED_BIT, 0.2):
            self.kv[layer, 0, tokens[0]] ^= 1 << self.world.random.randrange(16)

    def _read(self) -> None:
        self._writing = False
        if self.reader.worker.life != self._life:
            self.dropped = True
            if self._owner:
                self._owner.broken()
        if self.dropped:
            self._settle()
            return
        number = self._following.read()
        self.reader.send(Credit(self.offer.stream, number).message())
        self.digester.advance_to(self._following.front, self.kv[:, :, None])
        self._go_on()

    def _settle(self) -> None:
        if self._owner:
            self._owner.settled()
        self._let_go()

    def _let_go(self) -> None:
        if not self._released:
            self._released = True
            self.reader.book.filled(self.offer.stream)
