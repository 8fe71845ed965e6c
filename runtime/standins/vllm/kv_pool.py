"""Store KV in paged blocks, one region a layer, as vLLM does."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.kv import digest
from runtime.handoff.seal import Seal
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.handoff.transport.agent import Agent
from runtime.standins.engine.engine import Geometry
from runtime.standins.engine.model_file import MODEL_DIGEST

LAYOUT: Final = "NHD"
ATTENTION: Final = "NUMPY_ATTN"

Half = NDArray[np.float16]


class KvPool:
    """Hold f16 regions ``[num_blocks, 2, block_size, kv_heads, head_dim]``, one a layer; axis 1 is K, V.

    Memory is committed by the operating system as blocks are first written.
    """

    def __init__(self, geometry: Geometry, *, num_blocks: int, block_size: int) -> None:
        shape = (num_blocks, 2, block_size, geometry.kv_heads, geometry.head_dim)
        self.regions: tuple[Half, ...] = tuple(np.zeros(shape, np.float16) for _ in range(geometry.layers))
        self.block_size = block_size
        self.num_blocks = num_blocks

    def blocks_for(self, tokens: int) -> int:
        """Return how many blocks hold ``tokens`` tokens."""
        return -(-tokens // self.block_size)

    def digested(self, cache: Half, generation: str) -> Seal:
        """Return what to say of an engine's cache, which is canonical: it is digested before it is written."""
        size = digest.block_tokens(cache[0, 0, 0].nbytes, block_size=self.block_size)
        return Seal(
            generation=generation,
            model_digest=MODEL_DIGEST,
            block_tokens=size,
            digests=digest.digests(cache, size),
        )

    def write(self, blocks: tuple[int, ...], cache: Half) -> None:
        """Copy an engine's cache ``[layers, 2, tokens, kv_heads, head_dim]``; the last block keeps its rest."""
        for index, block in enumerate(blocks):
            part = cache[:, :, index * self.block_size : (index + 1) * self.block_size]
            for region, kv in zip(self.regions, part, strict=True):
                region[block, :, : kv.shape[1]] = kv

    def metadata(self, engine_id: str, generation: str, agent: Agent) -> NixlAgentMetadata:
        """Return what a reader must know of the regions, which ``agent`` has registered."""
        layers = len(self.regions)
        block_bytes = self.regions[0][0].nbytes
        names = [f"model.layers.{layer}.self_attn.attn" for layer in range(layers)]
        return NixlAgentMetadata(
            engine_id=engine_id,
            agent_metadata=agent.metadata,
            kv_caches_base_addr=[region.ctypes.data for region in self.regions],
            device_id=0,
            num_blocks=self.num_blocks,
            block_lens=[block_bytes] * layers,
            block_strides=[block_bytes] * layers,
            kv_cache_layout=LAYOUT,
            block_size=self.block_size,
            ssm_sizes=(0, 0),
            attn_backend_name=ATTENTION,
            physical_blocks_per_logical_kv_block=1,
            region_num_blocks=[self.num_blocks] * layers,
            region_group_ids=[0] * layers,
            region_names=names,
            region_mem_types=["DRAM"] * layers,
            region_members=[[name] for name in names],
            tandem_generation=generation,
        )
