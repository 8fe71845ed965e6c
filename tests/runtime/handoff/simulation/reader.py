"""The decode endpoint: the real acceptance, books and fence, driven as the emulator drives them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from runtime.handoff import fields
from runtime.handoff.acceptance import Accepted, Life, accept
from runtime.handoff.contract import Code, HandoffError, Phase
from runtime.handoff.fence import Action, Actions, Fence
from runtime.handoff.kv import digest
from runtime.handoff.kv.element import Stored
from runtime.handoff.reservation import Reservation, Reservations
from runtime.handoff.stream import Offer
from tests.runtime.handoff.simulation.inflow import READ_SECONDS, Inflow
from tests.runtime.handoff.simulation.worker import BLOCK_TOKENS, LAYERS, MODEL_DIGEST, Worker
from tests.runtime.handoff.simulation.world import Call, Fault, Process, World

KEY: Final = b"ticket key"
MODEL: Final = "model"
TTL: Final = 30.0
HANDSHAKE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Answer:
    """Hold the KV that an answer was decoded from."""

    kv: Stored


@dataclass(frozen=True)
class Failure:
    """Hold what a client is told."""

    code: Code
    phase: Phase | None


class Reader(Process):
    """Reserve, import, decode."""

    def __init__(self, world: World, worker: Worker, *, memory: int) -> None:
        self.worker = worker
        self._memory = memory
        self._skew = world.random.uniform(-30, 30)
        super().__init__(world, "reader")

    def start(self) -> None:
        """Begin with empty books."""
        ids = iter(range(10**6))
        self.inflows: dict[str, Inflow] = {}
        self.book = Reservations(memory=self._memory, ttl=TTL, new_id=lambda: f"{self.life}/{next(ids)}")

    def reserve(self, call: Call, request_id: str, blocks: int) -> None:
        """Answer a reservation's id, or the failure."""
        try:
            held = self.book.grant(blocks, request_id=request_id, attempt=1, max_tokens=1, now=self.clock())
            call.reply(held.reservation_id)
            self.world.after(self.real(TTL) + 0.001, self, self.tend)
            self._check_memory()
        except HandoffError as error:
            call.reply(Failure(error.code, Phase.ADMISSION))

    def withdraw(self, reservation_id: str) -> None:
        """Give a reservation up."""
        self.book.withdraw(reservation_id, now=self.clock())
        self.tend()

    def hear(self, offer: Offer) -> None:
        """Take an offer of KV that is being computed; its stream is named like the reservation.

        A stream holds one block more than was reserved: the gateway's estimate may be too low.
        """
        if not self.up or self.stopped_until > self.world.now:
            return
        if inflow := self.inflows.get(offer.stream):
            inflow.hear(offer)
        elif self.worker.up and self.book.fill(offer.stream, len(offer.blocks) + 1, now=self.clock()):
            self.inflows[offer.stream] = Inflow(self, offer)
            self._check_memory()

    def tend(self) -> None:
        """Drop the streams of reservations that wait no more."""
        for stream in self.inflows.keys() - self.book.waiting(now=self.clock()):
            self.inflows.pop(stream).drop()

    def abort(self, params: dict[str, Any]) -> None:
        """Give a prefilled request up."""
        try:
            accepted = self._accept(params)
        except HandoffError:
            return  # the gateway is told, and can do nothing: time limits free what is held
        self.withdraw(accepted.ticket.reservation_id)
        self._notify_unread(accepted)

    def decode(self, call: Call, params: dict[str, Any]) -> None:
        """Import and decode."""
        try:
            accepted = self._accept(params)
            claims = accepted.ticket
            try:
                reservation = self.book.consume(
                    claims.reservation_id, request_id=claims.request_id, attempt=claims.attempt, now=self.clock()
                )
            except HandoffError:
                self._notify_unread(accepted)
                raise
        except HandoffError as error:
            call.reply(Failure(error.code, Phase.ADMISSION))
            return
        Import(self, call, accepted, reservation)

    def notify(self, accepted: Accepted) -> None:
        """Tell the worker that its blocks may go."""
        if self.worker.up and _is(self.worker, accepted.life):
            self.send(accepted.done)

    def send(self, message: bytes) -> None:
        """Send the worker a notification over a network that does as it likes."""
        worker, sender = self.worker, f"reader {self.life}"
        for delay in self.world.notice_delays():
            self.world.after(delay, worker, lambda: worker.hear(sender, message))

    def _check_memory(self) -> None:
        if self.book.reserved_bytes(now=self.clock()) > self.book.memory:
            self.world.violated("more memory is reserved than there is")

    def _accept(self, params: dict[str, Any]) -> Accepted:
        now = self.world.now + self._skew
        return accept(params, keys=[KEY], model=MODEL, model_digest=MODEL_DIGEST, now=now)

    def _notify_unread(self, accepted: Accepted) -> None:
        if not self.book.was_consumed(accepted.ticket.reservation_id):
            self.notify(accepted)


class Import:
    """Drive one fence."""

    def __init__(self, reader: Reader, call: Call, accepted: Accepted, reservation: Reservation) -> None:
        self.reader, self.world, self.call, self.accepted = reader, reader.world, call, accepted
        self.fence = Fence(accepted, reservation)
        self.over = self.freed = False
        self.kv = np.zeros((LAYERS, 1, accepted.ticket.num_tokens, 1, 1), np.uint16)
        self.inflow = reader.inflows.pop(accepted.ticket.reservation_id, None)
        if self.inflow and not self.inflow.is_of(accepted):
            self.inflow.drop()
        if self.inflow and self.inflow.dropped:
            self.inflow = None
        call.on_gone = self._gone
        if not call.open:
            self._gone()
            return
        self.world.after(self.world.latency(), reader, self._shake)
        self.world.after(HANDSHAKE_SECONDS, reader, lambda: self._timeout(Phase.HANDSHAKE))

    def _shake(self) -> None:
        worker = self.reader.worker
        if self.over or not worker.up or worker.stopped_until > self.world.now:
            return  # the time limit ends it
        life, memory = Life(worker.engine_id, worker.generation if worker.sealed else ""), worker.memory
        self.world.after(self.world.latency(), self.reader, lambda: self._shaken(life, worker.life, memory))

    def _shaken(self, found: Life, life: int, memory: dict[int, Stored]) -> None:
        if self.over:
            return
        try:
            self.fence.shaken(found)
            seconds = self.fence.reading(now=self.reader.clock())
        except HandoffError as error:
            self._fail(error)
            return
        self.world.after(min(seconds, READ_SECONDS), self.reader, lambda: self._timeout(Phase.TRANSFER))
        if self.inflow:
            self.kv = self.inflow.kv
            self.inflow.adopt(self)
        else:
            self._start_read(life, memory)

    def _start_read(self, life: int, memory: dict[int, Stored]) -> None:
        """Copy block after block, as hardware does: whatever the processes do meanwhile."""
        (blocks,) = self.accepted.params[fields.REMOTE_BLOCK_IDS]
        lasts, mine = self._duration(), self.reader.life
        truncated = self.world.happens(Fault.TRUNCATED_REGION) and self.accepted.seal
        for index, block in enumerate(blocks):
            if not (truncated and index == len(blocks) - 1):
                at = lasts * (index + 1) / len(blocks) * 0.999
                self.world.after(at, None, partial(self._copy, index, block, life, memory, mine))
        self.world.after(lasts, self.reader, lambda: self._read(whole=self.reader.worker.life == life))

    def _duration(self) -> float:
        if not self.world.happens(Fault.SLOW_LINK):
            return self.world.random.uniform(0.001, 0.2)
        claims = self.accepted.ticket
        # about when the lease ends, which is what an unlucky reader meets
        around = self.world.random.choice([(-0.04, 0.01), (0.0, 1.0)])
        remaining = self.fence._deadline - self.reader.clock() + self.world.random.uniform(*around)
        return (
            max(0.001, remaining) if remaining < READ_SECONDS else self.world.random.uniform(1, claims.lease_ms / 1e3)
        )

    def _copy(self, index: int, block: int, life: int, memory: dict[int, Stored], mine: int) -> None:
        if self.reader.life != mine or self.reader.worker.life != life or block not in memory:
            return
        if self.freed:
            self.world.violated("a READ wrote into memory that was freed")
        part = memory[block].copy()
        if self.accepted.seal and self.world.happens(Fault.FLIPPED_BIT, 0.2):
            part[0, 0, 1] ^= 1 << self.world.random.randrange(16)
        self.kv[:, :, index * BLOCK_TOKENS : (index + 1) * BLOCK_TOKENS] = part

    def _read(self, *, whole: bool) -> None:
        if self.over:
            self._do(self.fence.settled())
            return
        try:
            if not whole:
                self.world.after(0, self.reader, lambda: self._do(self.fence.settled()))
                raise HandoffError(Code.KV_TRANSFER, "the worker died")
            self.fence.read(now=self.reader.clock())
            if self.inflow and self.accepted.seal:
                digest.compare(self.inflow.digester.digests(), self.accepted.seal)
            elif self.accepted.seal:
                digest.verify(self.kv, self.accepted.seal, BLOCK_TOKENS)
            self._do(self.fence.own())
        except HandoffError as error:
            self._fail(error)
            return
        self._check_lease()
        kv = self.kv.copy()
        self.world.after(self.world.random.uniform(0.01, 2), self.reader, lambda: self._decoded(kv))

    def _check_lease(self) -> None:
        ended = self.reader.worker.lease_ends.get(self.accepted.ticket.remote_request_id)
        if ended is not None and ended < self.world.now:
            self.world.violated("KV was owned though the worker had freed it")

    def _decoded(self, kv: Stored) -> None:
        if not self.over:
            self.over = True
            self._do(self.fence.end())
            self.call.reply(Answer(kv))

    def _timeout(self, phase: Phase) -> None:
        if not self.over and self.fence.phase is phase:
            self._fail(HandoffError(Code.KV_TRANSFER, f"time limit of {phase}"))

    def _fail(self, error: HandoffError) -> None:
        self.over = True
        phase = self.fence.phase
        self._end()
        self.call.reply(Failure(error.code, phase))

    def _gone(self) -> None:
        self.over = True
        self._end()

    def _end(self) -> None:
        self._do(self.fence.end())
        if self.inflow:
            self.inflow.drop()

    def streamed(self) -> None:
        """Take note that a stream has brought everything."""
        self._read(whole=True)

    def broken(self) -> None:
        """Take note that a stream's READ failed."""
        if not self.over:
            self._fail(HandoffError(Code.KV_TRANSFER, "the worker died"))

    def settled(self) -> None:
        """Take note that a stream writes no more."""
        self._do(self.fence.settled())

    def _do(self, actions: Actions) -> None:
        if Action.NOTIFY in actions:
            self.reader.notify(self.accepted)
        if Action.FREE in actions:
            self.freed = True
            try:
                self.reader.book.finish(self.accepted.ticket.reservation_id)
            except KeyError:
                self.world.violated("a reservation was freed twice")


def _is(worker: Worker, life: Life) -> bool:
    return (worker.engine_id, worker.generation if worker.sealed else "") == (life.engine_id, life.generation)
