"""The handshake of a real vLLM is the one that the project is written for."""

from __future__ import annotations

import pytest

from runtime.handoff import fields, sidechannel
from runtime.standins.engine.engine import Engine
from runtime.standins.reader.pull import check_layout
from tests.vllm.client import SHORT, Client
from tests.vllm.programs import HANDSHAKE_SECONDS, PREFILL, WORKERS, cpu_kv

pytestmark = pytest.mark.vllm


async def test_it_says_where_kv_lies_and_not_what_its_elements_are(client: Client, engine: Engine) -> None:
    shaken = await sidechannel.fetch(PREFILL.address, WORKERS.side_channel_port, timeout=HANDSHAKE_SECONDS)
    described = shaken.metadata
    check_layout(described, cpu_kv(), engine.geometry)
    assert (described.kv_cache_layout, described.attn_backend_name) == ("LBHNC", "CPU_ATTN")
    assert described.block_lens == described.block_strides == [cpu_kv().block_bytes()] * 30
    assert described.region_mem_types == ["DRAM"] * 30
    assert described.region_names == [f"model.layers.{layer}.self_attn.attn" for layer in range(30)]
    assert len(shaken.compatibility_hash) == 64
    assert shaken.clock > 0


async def test_a_prefill_names_the_same_worker_and_blocks_from_one_on(client: Client) -> None:
    params = await client.prefill(SHORT)
    shaken = await sidechannel.fetch(params[fields.REMOTE_HOST], params[fields.REMOTE_PORT], timeout=HANDSHAKE_SECONDS)
    assert not fields.missing(params)
    assert params[fields.REMOTE_ENGINE_ID] == shaken.metadata.engine_id
    assert [len(group) for group in params[fields.REMOTE_BLOCK_IDS]] == [-(-params[fields.REMOTE_NUM_TOKENS] // 32)]
    assert 0 not in params[fields.REMOTE_BLOCK_IDS][0]
