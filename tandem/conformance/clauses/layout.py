"""KV of a layout that the endpoint does not read is refused, and its worker told."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np

from runtime.handoff import fields, sidechannel
from runtime.handoff.contract import Code
from runtime.handoff.sidechannel import NixlAgentMetadata, NixlHandshakePayload
from runtime.handoff.transport.agent import Agent
from runtime.handoff.transport.choose import asked, start
from tandem.conformance.parties import FREE_WITHIN_SECONDS, BreachError, Parties
from tandem.conformance.ports import free_port

_TOKENS = 34
_LEASE_SECONDS = 30


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless a worker of an unknown layout is refused, and told that it may free its blocks."""
    host = urlsplit(parties.worker).hostname or ""
    async with _odd_worker(host) as (params, agent):
        signed = parties.sign(params, await parties.reserve())
        (await parties.decode(signed)).require_refusal(Code.KV_LAYOUT)
        await _require_told(agent, f"{params[fields.REMOTE_REQUEST_ID]}:1".encode())
    await parties.require_nothing_held()


@asynccontextmanager
async def _odd_worker(host: str) -> AsyncIterator[tuple[dict[str, Any], Agent]]:
    """Serve the handshake of a worker whose KV has an order of axes that nobody has."""
    agent = start(asked(os.environ), f"odd-{uuid.uuid4()}", host=host)
    try:
        region = np.zeros((4, 4096), np.uint8)
        agent.register(region)
        payload = NixlHandshakePayload(
            compatibility_hash="", agent_metadata_bytes=msgspec.msgpack.encode(_metadata(agent, region.ctypes.data))
        )
        with free_port(host) as port:
            async with sidechannel.listener(host, port) as channel:
                serving = asyncio.create_task(sidechannel.serve(channel, {(0, 0): payload}))
                yield _params(agent.name, host, port), agent
                serving.cancel()
    finally:
        agent.close()


def _params(engine: str, host: str, port: int) -> dict[str, Any]:
    return {
        fields.REMOTE_ENGINE_ID: engine,
        fields.REMOTE_REQUEST_ID: uuid.uuid4().hex,
        fields.REMOTE_HOST: host,
        fields.REMOTE_PORT: port,
        fields.REMOTE_BLOCK_IDS: [[3, 1, 2]],
        fields.REMOTE_NUM_TOKENS: _TOKENS,
        # which tells how the handshake is asked for: with a pipeline rank
        fields.REMOTE_BLOCKS_EXPIRY_TIME: time.time() + _LEASE_SECONDS,
    }


def _metadata(agent: Agent, address: int) -> NixlAgentMetadata:
    return NixlAgentMetadata(
        engine_id=agent.name,
        agent_metadata=agent.metadata,
        kv_caches_base_addr=[address],
        device_id=0,
        num_blocks=4,
        block_lens=[4096],
        block_strides=[4096],
        kv_cache_layout="conformance",
        block_size=16,
        ssm_sizes=(0, 0),
        attn_backend_name="none",
        physical_blocks_per_logical_kv_block=1,
    )


async def _require_told(agent: Agent, message: bytes) -> None:
    try:
        async with asyncio.timeout(FREE_WITHIN_SECONDS):
            while message not in [heard for _, heard in agent.notifications()]:
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise BreachError(
            f"the worker was not told within {FREE_WITHIN_SECONDS:g} s that it may free blocks"
        ) from error
