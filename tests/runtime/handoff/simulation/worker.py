"""The prefill worker: real leases, real notifications, real seals; blocks and memory that are really reused."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np

from runtime.handoff import fields, notification
from runtime.handoff.kv import digest
from runtime.handoff.kv.element import Stored
from runtime.handoff.lease import Leases, Notice
from runtime.handoff.notification import ReadDone
from runtime.handoff.seal import Seal
from runtime.standins.vllm.blocks import BlockAllocator
from tests.runtime.handoff.simulation.world import Call, Process, World

LEASE: Final = 30.0
BLOCK_TOKENS: Final = 4
POOL_BLOCKS: Final = 9
MODEL_DIGEST: Final = "sha256:weights"


def kv_of(prompt: str, blocks: int) -> Stored:
    """Return the one KV that a prompt has, as ``[layer, half, token, head, dim]``."""
    raw = hashlib.shake_128(prompt.encode()).digest(blocks * BLOCK_TOKENS * 2)
    kv: Stored = np.frombuffer(raw, np.uint16).reshape(1, 1, -1, 1, 1)
    return kv


class Worker(Process):
    """Prefill prompts; ``sealed`` is our own worker, otherwise it is a stock vLLM, whose engine id is new each life."""

    def __init__(self, world: World, *, sealed: bool) -> None:
        self.sealed = sealed
        self.lease_ends: dict[str, float] = {}
        self.expired = 0
        super().__init__(world, "worker")

    def start(self) -> None:
        """Begin with an empty pool of blocks."""
        self.leases = Leases(LEASE)
        self.blocks = BlockAllocator(POOL_BLOCKS)
        self.memory: dict[int, Stored] = {}
        self.generation = f"life {self.life}"

    @property
    def engine_id(self) -> str:
        """Return the engine's id; a configured one survives restarts."""
        return "engine" if self.sealed else f"engine of {self.generation}"

    def prefill(self, call: Call, prompt: str, request_id: str, blocks: int, patience: int = 100) -> None:
        """Take blocks as soon as there are some, then compute."""
        if not call.open:
            return
        ids = self.blocks.allocate(blocks)
        if ids is None and patience:
            self.world.after(0.1, self, lambda: self.prefill(call, prompt, request_id, blocks, patience - 1))
        elif ids is None:
            call.reply(None)
        else:
            spent = self.world.random.choice([0.0, 0.001, self.world.random.uniform(0, 3)])
            self.world.after(spent, self, lambda: self._prefilled(call, prompt, request_id, ids))

    def _prefilled(self, call: Call, prompt: str, request_id: str, ids: tuple[int, ...]) -> None:
        if not call.open:
            self.blocks.free(ids)
            return
        kv = kv_of(prompt, len(ids))
        for index, block in enumerate(ids):
            self.memory[block] = kv[:, :, index * BLOCK_TOKENS : (index + 1) * BLOCK_TOKENS].copy()
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
                digests=digest.digests(kv, BLOCK_TOKENS),
            )
            params[fields.TANDEM] = {fields.SEAL: stated.params()}
        return params

    def hear(self, sender: str, message: bytes) -> None:
        """Take a notification."""
        heard = notification.parse(message)
        assert isinstance(heard, ReadDone)
        notice, blocks = self.leases.read(heard.request_id, sender=sender, readers=heard.readers)
        if notice is Notice.FREED:
            self._free(heard.request_id, blocks)

    def _expire(self) -> None:
        for request_id, blocks in self.leases.expire(now=self.clock()).items():
            self.expired += 1
            self._free(request_id, blocks)

    def _free(self, request_id: str, blocks: tuple[int, ...]) -> None:
        self.lease_ends[request_id] = self.world.now
        try:
            self.blocks.free(blocks)
        except ValueError as error:
            self.world.violated(f"{request_id}: {error}")
