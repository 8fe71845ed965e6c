"""Read what prefill workers keep: the NIXL agent of a decode worker, and what it tells them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any, Final

from runtime.handoff import background, fields, ticket
from runtime.handoff.acceptance import Life
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv.memory import Integers
from runtime.handoff.notification import Heartbeat, ReadDone
from runtime.handoff.seal import Seal
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.handoff.transport.choose import asked, start
from runtime.standins.engine.engine import Geometry
from runtime.standins.engine.layer import Half
from runtime.standins.engine.model_file import MODEL_DIGEST
from runtime.standins.reader import pull
from runtime.standins.reader.landing import Landing
from runtime.standins.reader.link import READ_SECONDS, Address, Link, Peer
from runtime.standins.vllm.kv_transfer_config import KvTransferConfig
from runtime.standins.vllm.metrics import Metrics

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS: Final = 5.0
BEATS: Final = 6
"""How often a decoder tells in the time of one lease that it still means to read, as vLLM does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Say where a prompt's KV is, as its worker told; ``seal`` is None where it said nothing of the content."""

    address: Address
    request_id: str
    groups: list[Any]
    tokens: int
    seal: Seal | None

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Source:
        """Return what ``kv_transfer_params`` say; raise ``HandoffError`` (``kv_incomplete``), where vLLM only warns."""
        if missing := fields.missing(params):
            raise HandoffError(Code.KV_INCOMPLETE, f"{fields.KV_TRANSFER_PARAMS} lack {', '.join(missing)}")
        tokens = params[fields.REMOTE_NUM_TOKENS]
        seal = Seal.from_params(ticket.seal_of(params), num_tokens=tokens)
        address = Address(
            host=params[fields.REMOTE_HOST],
            port=params[fields.REMOTE_PORT],
            life=Life(params[fields.REMOTE_ENGINE_ID], seal.generation if seal else ""),
            pipelined=fields.REMOTE_BLOCKS_EXPIRY_TIME in params,
        )
        return cls(
            address=address,
            request_id=params[fields.REMOTE_REQUEST_ID],
            groups=params[fields.REMOTE_BLOCK_IDS],
            tokens=tokens,
            seal=seal,
        )


class Consumer:
    """Read KV into the engine's caches; ``compatibility`` is the hash that a worker must tell as well.

    ``recomputes`` says that a prompt whose KV cannot be had is prefilled here; else its request fails.
    """

    def __init__(
        self, config: KvTransferConfig, host: str, geometry: Geometry, compatibility: str, metrics: Metrics
    ) -> None:
        self.engine_id = config.engine_id
        self.recomputes = config.kv_load_failure_policy == "recompute"
        self._beat_seconds = config.kv_connector_extra_config.kv_lease_duration / BEATS
        self._compatibility = compatibility if config.kv_connector_extra_config.enforce_handshake_compat else None
        self._geometry = geometry
        self._metrics = metrics
        self._agent = start(asked(os.environ), config.engine_id, host=host)
        self._link = Link(self._agent, handshake_seconds=HANDSHAKE_SECONDS)
        self._reading = 0
        self._wanted: dict[str, asyncio.Task[None]] = {}

    @property
    def provider(self) -> str:
        """What KV goes by, read back from the running transport."""
        return self._agent.provider

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let messages leave; at the end release NIXL."""
        with closing(self._agent):
            async with background.running(self._link.poll(_ignore, lambda: self._reading > 0)):
                yield

    @asynccontextmanager
    async def wanted(self, source: Source) -> AsyncIterator[None]:
        """Hold the worker's lease until the KV is read; at the end let its blocks go, if they were not read."""
        self._wanted[source.request_id] = asyncio.create_task(self._beat(source))
        try:
            yield
        finally:
            await self._let_go(source)

    async def read(self, source: Source, prompt: list[int], cache: Half) -> None:
        """Fill ``cache`` with the KV of ``prompt``, and let its blocks go.

        Raise ``HandoffError`` where it cannot be had, or is another.
        """
        began = time.monotonic()
        self._reading += 1
        try:
            moved = await self._read(source, prompt, cache)
        except HandoffError:
            self._metrics.failed_transfers.inc()
            raise
        finally:
            self._reading -= 1
            await self._let_go(source)
        self._metrics.transferred(moved, time.monotonic() - began)
        log.info("request %s: read %d bytes of KV", source.request_id, moved)

    async def _read(self, source: Source, prompt: list[int], cache: Half) -> int:
        if len(prompt) != source.tokens:
            raise HandoffError(Code.KV_FOREIGN, f"the prompt has {len(prompt)} tokens, the KV {source.tokens}")
        if source.seal and source.seal.model_digest not in ("", MODEL_DIGEST):
            raise HandoffError(Code.KV_FOREIGN, f"the KV is of model {source.seal.model_digest[:80]}")
        peer = await self._link.connect(source.address)
        self._check(peer)
        landing = self._plan(peer.metadata, source, cache)

        async def read(pairs: Integers) -> int:
            return await self._link.read(peer, pairs, seconds=READ_SECONDS)

        with self._link.receiving(landing.memory, _nothing):
            moved = await landing.bring(read)
        landing.verify()
        return moved

    def _plan(self, remote: NixlAgentMetadata, source: Source, cache: Half) -> Landing:
        worker = pull.describe(remote, self._geometry)
        pull.check_layout(remote, worker, self._geometry)
        sizes = {"block_size": remote.block_size, "num_blocks": remote.num_blocks}
        blocks = pull.needed_blocks(source.groups, source.tokens, **sizes)
        return Landing(pull.holding(remote, worker, blocks), source.tokens, cache, source.seal)

    def _check(self, peer: Peer) -> None:
        if self._compatibility not in (None, peer.compatibility):
            raise HandoffError(Code.KV_LAYOUT, f"worker {peer.address.host} runs another model, version or KV layout")

    async def _beat(self, source: Source) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds)
            await self._tell(source, Heartbeat((source.request_id,)).message())

    async def _let_go(self, source: Source) -> None:
        if beating := self._wanted.pop(source.request_id, None):
            beating.cancel()
            await self._tell(source, ReadDone(source.request_id, readers=1).message())

    async def _tell(self, source: Source, message: bytes) -> None:
        try:
            await self._link.notify(source.address, message)
        except HandoffError as error:  # its lease ends by itself
            log.warning("worker of request %s was not told: %s", source.request_id, error)


def _ignore(sender: str, message: bytes) -> None:
    log.warning("ignored a notification from %s: %r", sender, message[:100])


def _nothing() -> None:
    """Do nothing: the agent keeps the memory as long as it may be written."""
