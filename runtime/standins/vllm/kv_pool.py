"""Store KV in paged blocks, one region a layer, as vLLM does."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.handoff.transport.agent import Agent
from runtime.standins.engine.engine import Geometry

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

    def write(self, blocks: tuple[int, ...], layer: int, kv: Half, first: int) -> None:
        """Copy a layer's KV ``[2, tokens, kv_heads, head_dim]`` of a prompt in ``blocks``, from token ``first`` on."""
        region, token, stop = self.regions[layer], first, first + kv.shape[1]
        while token < stop:
            block, offset = divmod(token, self.block_size)
            count = min(self.block_size - offset, stop - token)
            region[blocks[block], :, offset : offset + count] = kv[:, token - first : token - first + count]
            token += count

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
