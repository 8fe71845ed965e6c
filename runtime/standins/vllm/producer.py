"""Own what decoders read from a prefill worker: the leased blocks, the NIXL agent, the side channel."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import msgspec

from runtime.handoff import fields, notification
from runtime.handoff.lease import Leases, Notice
from runtime.handoff.notification import Heartbeat
from runtime.handoff.seal import Seal
from runtime.handoff.sidechannel import NixlHandshakePayload, listener, serve
from runtime.handoff.stream import Credit, Offer, Telling
from runtime.handoff.transport.choose import asked, start
from runtime.standins.engine.engine import Geometry
from runtime.standins.vllm.handover import DIGEST_TOKENS
from runtime.standins.vllm.kv_pool import ATTENTION, LAYOUT, KvPool
from runtime.standins.vllm.kv_transfer_config import KvTransferConfig
from runtime.standins.vllm.metrics import Metrics
from runtime.standins.vllm.streams import Streams

log = logging.getLogger(__name__)

CONNECTOR_VERSION: Final = 15
LEASED_POLL_SECONDS: Final = 0.001  # a reader's transfer over TCP moves on only while this end polls
IDLE_POLL_SECONDS: Final = 0.02

Blocks = tuple[int, ...]


class Producer:
    """Hold prefilled blocks under leases and let readers take them; ``free`` takes back blocks no reader needs."""

    def __init__(
        self,
        config: KvTransferConfig,
        pool: KvPool,
        side_channel: tuple[str, int],
        *,
        free: Callable[[Blocks], None],
        metrics: Metrics,
    ) -> None:
        self.engine_id = config.engine_id
        self._address = side_channel
        self._leases = Leases(config.kv_connector_extra_config.kv_lease_duration)
        self._free = free
        self._metrics = metrics
        self._agent = start(asked(os.environ), config.engine_id, host=side_channel[0])
        self._agent.register(*pool.regions)
        self._streams = Streams(self._agent)
        self._layers = len(pool.regions)
        self.generation = uuid.uuid4().hex
        self._metadata = pool.metadata(config.engine_id, self.generation, self._agent)

    @property
    def provider(self) -> str:
        """What KV goes by, read back from the running transport."""
        return self._agent.provider

    @asynccontextmanager
    async def running(self, compatibility_hash: str) -> AsyncIterator[None]:
        """Answer handshakes and notifications; at the end release NIXL, whatever readers still hold."""
        payload = NixlHandshakePayload(
            compatibility_hash=compatibility_hash, agent_metadata_bytes=msgspec.msgpack.encode(self._metadata)
        )
        try:
            async with listener(*self._address) as socket, asyncio.TaskGroup() as tasks:
                loops = [tasks.create_task(serve(socket, {(0, 0): payload})), tasks.create_task(self._watch())]
                yield
                for loop in loops:
                    loop.cancel()
        finally:
            self._agent.close()

    @contextmanager
    def streaming(
        self, request_id: str, blocks: Blocks, tokens: int, invitation: tuple[str, str] | None
    ) -> Iterator[Telling | None]:
        """Yield what to tell an inviting endpoint by while a prompt is prefilled; None where there is none."""
        if invitation is None:
            yield None
            return
        stream, agent = invitation
        offer = Offer(
            stream=stream,
            host=self._address[0],
            port=self._address[1],
            engine_id=self.engine_id,
            generation=self.generation,
            request_id=request_id,
            blocks=blocks,
            tokens=tokens,
            digest_tokens=DIGEST_TOKENS,
        )
        with self._streams.opened(offer, agent, layers=self._layers) as telling:
            yield telling

    def lease(self, request_id: str, blocks: Blocks, tokens: int, seal: Seal) -> dict[str, Any]:
        """Keep blocks for a reader and return the ``kv_transfer_params`` that tell it where they are."""
        self._leases.grant(request_id, blocks, now=time.monotonic())
        host, port = self._address
        return {
            fields.DO_REMOTE_PREFILL: True,
            fields.DO_REMOTE_DECODE: False,
            fields.REMOTE_BLOCK_IDS: [list(blocks)],
            fields.REMOTE_ENGINE_ID: self.engine_id,
            fields.REMOTE_REQUEST_ID: request_id,
            fields.REMOTE_HOST: host,
            fields.REMOTE_PORT: port,
            fields.TP_SIZE: 1,
            "dcp_size": 1,
            "pp_size": 1,
            fields.REMOTE_NUM_TOKENS: tokens,
            "remote_registration_generation": 0,
            "remote_blocks_expiry_time": None,
            "transfer_mode": "pull",
            fields.TANDEM: {fields.SEAL: seal.params()},
        }

    async def _watch(self) -> None:
        while True:
            for peer, message in self._agent.notifications():
                self._receive(peer, message)
            self._streams.tell()
            self._expire()
            await asyncio.sleep(LEASED_POLL_SECONDS if self._leases or self._streams else IDLE_POLL_SECONDS)

    def _receive(self, peer: str, message: bytes) -> None:
        try:
            if credit := Credit.parse(message):
                self._streams.credited(credit)
                return
            heard = notification.parse(message)
        except ValueError as error:
            log.warning("ignored a notification from %s: %s", peer, error)
            return
        if isinstance(heard, Heartbeat):
            self._leases.extend(heard.request_ids, now=time.monotonic())
            return
        notice, blocks = self._leases.read(heard.request_id, sender=peer, readers=heard.readers)
        if notice is Notice.LATE:
            self._metrics.late_notifications.inc()
            log.error(
                "Potentially invalid KV blocks for unrecognized request %s were retrieved by a decode worker. "
                "They may have expired.",
                heard.request_id,
            )
        if notice is Notice.FREED:
            self._free(blocks)
            log.info("freed %d KV blocks of %s: read", len(blocks), heard.request_id)

    def _expire(self) -> None:
        for request_id, blocks in self._leases.expire(now=time.monotonic()).items():
            self._free(blocks)
            self._metrics.kv_expired.inc()
            log.warning("freed %d KV blocks of %s: lease expired unread", len(blocks), request_id)


def compatibility_hash(model: str, geometry: Geometry) -> str:
    """Return a hash over the factors vLLM hashes; it equals no real vLLM's, whose version and attention differ."""
    factors = {
        "vllm_version": "tandem-stand-in",
        "nixl_connector_version": CONNECTOR_VERSION,
        "model": model,
        "dtype": "float16",
        "num_kv_heads": geometry.kv_heads,
        "head_size": geometry.head_dim,
        "num_hidden_layers": geometry.layers,
        "attn_backend_name": ATTENTION,
        "kv_cache_layout": LAYOUT,
        "transfer_mode": "pull",
    }
    return hashlib.sha256(json.dumps(factors, sort_keys=True).encode()).hexdigest()
