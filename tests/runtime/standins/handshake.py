"""The handshake of a worker whose KV is in a test's own memory."""

from __future__ import annotations

from runtime.handoff.kv.cache import Cache
from runtime.handoff.sidechannel import NixlAgentMetadata


def handshake(worker: Cache) -> NixlAgentMetadata:
    """Describe memory as a NIXL handshake does."""
    (memory,) = worker.holding().memories
    lens = [worker.description.block_bytes()] * len(memory.bases)
    return NixlAgentMetadata(
        engine_id="engine",
        agent_metadata=b"",
        kv_caches_base_addr=list(memory.bases),
        device_id=0,
        num_blocks=memory.num_blocks,
        block_lens=lens,
        block_strides=list(memory.block_strides),
        kv_cache_layout="any",
        block_size=worker.description.block_size,
        ssm_sizes=(0, 0),
        attn_backend_name="any",
        physical_blocks_per_logical_kv_block=1,
    )
