"""The prefill worker: real leases, real notifications, real seals; blocks and memory that are really reused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from runtime.handoff import fields, notification
from runtime.handoff.kv import digest
from runtime.handoff.kv.element import Stored
from runtime.handoff.lease import Leases, Notice
from runtime.handoff.notification import Heartbeat
from runtime.handoff.seal import Seal
from runtime.handoff.stream import CREDITS, Credit, Offer, Telling
from runtime.standins.vllm.blocks import BlockAllocator
from tests.runtime.handoff.simulation.world import Call, Fault, Process, World

LEASE: Final = 30.0
BLOCK_TOKENS: Final = 4
POOL_BLOCKS: Final = 9
MODEL_DIGEST: Final = "sha256:weights"
LAYERS: Final = 3
MOST_UNANSWERED: Final = CREDITS
DRAIN: Final = 45.0
QUIET: Final = 2.0


def kv_of(prompt: str, blocks: int) -> Stored:
    """Return the one KV that a prompt has, as ``[layer, half, token, head, dim]``."""
    raw = hashlib.shake_128(prompt.encode()).digest(LAYERS * blocks * BLOCK_TOKENS * 2)
    kv: Stored = np.frombuffer(raw, np.uint16).reshape(LAYERS, 1, -1, 1, 1)
    return kv


class Worker(Process):
    """Prefill prompts; ``sealed`` is our own worker, otherwise it is a stock vLLM, whose engine id is new each life."""

    def __init__(self, world: World, *, sealed: bool) -> None:
        self.sealed = sealed
        self.lease_ends: dict[str, float] = {}
        self.expired = 0
        self.endpoint: Callable[[Offer], None] = lambda _: None
        super().__init__(world, "worker")

    def start(self) -> None:
        """Begin with an empty pool of blocks."""
        self.leases = Leases(LEASE)
        self.blocks = BlockAllocator(POOL_BLOCKS)
        self.memory: dict[int, Stored] = {}
        self.tellings: dict[str, Telling] = {}
        self.unanswered: dict[str, set[int]] = {}
        self.promised: dict[str, float] = {}
        self.draining = False
        self.generation = f"life {self.life}"

    @property
    def engine_id(self) -> str:
        """Return the engine's id; a configured one survives restarts."""
        return "engine" if self.sealed else f"engine of {self.generation}"

    def prefill(
        self, call: Call, prompt: str, request_id: str, blocks: int, patience: int = 100, *, stream: str | None = None
    ) -> None:
        """Take blocks as soon as there are some, then compute, layer by layer."""
        if not call.open:
            return
        ids = None if self.draining else self.blocks.allocate(blocks)
        if ids is None and patience and not self.draining:
            again = partial(self.prefill, call, prompt, request_id, blocks, patience - 1, stream=stream)
            self.world.after(0.1, self, again)
        elif ids is None:
            call.reply(None)
        else:
            spent = self.world.random.choice([0.0, 0.001, self.world.random.uniform(0, 3)])
            if stream and self.sealed:
                self._offer(stream, request_id, ids)
            step = partial(self._layer, call, prompt, request_id, ids, stream or "", 0, spent / LAYERS)
            self.world.after(spent / LAYERS, self, step)

    def drain(self) -> None:
        """Take nothing new, and end once nothing is held, or at the latest after a while: as the supervisor does."""
        if self.up and not self.draining:
            self.draining = True
            self._drained(since=self.clock(), until=self.clock() + DRAIN)

    def _drained(self, *, since: float, until: float) -> None:
        now = self.clock()
        since = now if self.blocks.used else since
        if now >= until and self.blocks.used and not self.world.faults & {Fault.HEARTBEATS, Fault.WORKER_STOP}:
            self.world.violated("a drain ended with blocks that were held")
        if now - since >= QUIET or now >= until:
            self.crash()
            return
        self.world.after(0.5, self, partial(self._drained, since=since, until=until))

    def _layer(
        self, call: Call, prompt: str, request_id: str, ids: tuple[int, ...], stream: str, layer: int, spent: float
    ) -> None:
        """Write one layer's KV into the blocks, over what they held before."""
        if not call.open:
            self.tellings.pop(stream, None)
            self.blocks.free(ids)
            return
        kv = kv_of(prompt, len(ids))
        for index, block in enumerate(ids):
            held = self.memory.setdefault(block, np.zeros((LAYERS, 1, BLOCK_TOKENS, 1, 1), np.uint16))
            held[layer] = kv[layer, :, index * BLOCK_TOKENS : (index + 1) * BLOCK_TOKENS]
        if telling := self.tellings.get(stream):
            telling.wrote(layer, kv.shape[2])
        self._tell(stream)
        if layer + 1 < LAYERS:
            step = partial(self._layer, call, prompt, request_id, ids, stream, layer + 1, spent)
            self.world.after(spent, self, step)
            return
        self.tellings.pop(stream, None)
        self._prefilled(call, request_id, ids, kv)

    def _offer(self, stream: str, request_id: str, ids: tuple[int, ...]) -> None:
        tokens = len(ids) * BLOCK_TOKENS
        offer = Offer(
            stream=stream,
            host="10.0.0.1",
            port=5600,
            engine_id=self.engine_id,
            generation=self.generation,
            request_id=request_id,
            blocks=ids,
            tokens=tokens,
            digest_tokens=BLOCK_TOKENS,
        )
        self.tellings[stream], self.unanswered[stream] = Telling(offer, LAYERS), set()

    def _tell(self, stream: str) -> None:
        while (telling := self.tellings.get(stream)) and (offer := telling.due()):
            self.unanswered[stream].add(offer.number)
            if len(self.unanswered[stream]) > MOST_UNANSWERED:
                self.world.violated("a worker tells a reader more than it has credit for")
            heard = Offer.parse(offer.message())
            assert heard is not None
            for delay in self.world.notice_delays():
                self.world.after(delay, None, partial(self.endpoint, heard))

    def _prefilled(self, call: Call, request_id: str, ids: tuple[int, ...], kv: Stored) -> None:
        self.leases.grant(request_id, ids, now=self.clock())
        self.world.after(self.real(LEASE) + self.world.random.uniform(0, 0.002), self, self._expire)
        call.reply(self._params(request_id, ids, kv))

    def _params(self, request_id: str, ids: tuple[int, ...], kv: Stored) -> dict[str, Any]:
        params: dict[str, Any] = {
            fields.REMOTE_ENGINE_ID: self.engine_id,
            fields.REMOTE_REQUEST_ID: request_id,
            fields.REMOTE_BLOCK_IDS: [list(ids)],
            fields.REMOTE_HOST: "10.0.0.1",
            fields.REMOTE_PORT: 5600,
            fields.REMOTE_NUM_TOKENS: kv.shape[2],
        }
        if self.sealed:
            stated = Seal(
                generation=self.generation,
                model_digest=MODEL_DIGEST,
                block_tokens=BLOCK_TOKENS,
                digests=digest.digests(kv, BLOCK_TOKENS, BLOCK_TOKENS),
            )
            params[fields.TANDEM] = {fields.SEAL: stated.params()}
        return params

    def hear(self, sender: str, message: bytes) -> None:
        """Take a notification."""
        if credit := Credit.parse(message):
            if telling := self.tellings.get(credit.stream):
                telling.credited(credit.number)
                unanswered = self.unanswered[credit.stream]
                self.unanswered[credit.stream] = {number for number in unanswered if number > credit.number}
                self._tell(credit.stream)
            return
        heard = notification.parse(message)
        if isinstance(heard, Heartbeat):
            self._extend(heard)
            return
        notice, blocks = self.leases.read(heard.request_id, sender=sender, readers=heard.readers)
        if notice is Notice.FREED:
            self._free(heard.request_id, blocks)

    def _extend(self, heard: Heartbeat) -> None:
        self.leases.extend(heard.request_ids, now=self.clock())
        for request_id in heard.request_ids:
            self.promised[request_id] = self.clock() + LEASE * 2 / 3
        self.world.after(self.real(LEASE * 2 / 3) + 0.001, self, self._expire)

    def _expire(self) -> None:
        for request_id, blocks in self.leases.expire(now=self.clock()).items():
            self.expired += 1
            if self.clock() < self.promised.get(request_id, 0.0):
                self.world.violated(f"{request_id} was freed although a heartbeat holds it")
            self._free(request_id, blocks)

    def _free(self, request_id: str, blocks: tuple[int, ...]) -> None:
        self.lease_ends[request_id] = self.world.now
        try:
            self.blocks.free(blocks)
        except ValueError as error:
            self.world.violated(f"{request_id}: {error}")
