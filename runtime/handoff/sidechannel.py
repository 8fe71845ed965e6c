"""Speak vLLM's NIXL handshake: a ZMQ side channel from which a peer learns where a worker's KV cache lies.

The request is msgpack ``(b"get_meta_msg", pp_rank, tp_rank)``; the reply has two frames, a ``NixlHandshakePayload``
and the worker's ``perf_counter``. Field names are vLLM's. Workers of connector version 4 (vLLM 0.24 and 0.25) know no
pipeline ranks, are asked ``(b"get_meta_msg", tp_rank)`` and answer one frame. A request of the other form ends a
worker's listener for good; ``kv_transfer_params`` tell which it is: version 5 (0.26) is the first to name a
``remote_blocks_expiry_time``. Read in the wheels of 0.24 to 0.27, 0.30 and 0.32.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import msgspec
import zmq
import zmq.asyncio

from runtime.handoff.acceptance import Life
from runtime.handoff.contract import Code, HandoffError

log = logging.getLogger(__name__)

GET_META: Final = b"get_meta_msg"
MAX_REQUEST_BYTES: Final = 1024
MAX_REPLY_BYTES: Final = 16 * 2**20
"""A worker with hundreds of regions sends some tens of kilobytes."""


class NixlAgentMetadata(msgspec.Struct, kw_only=True):
    """Describe one worker's registered KV cache; unknown fields of other versions are ignored.

    Block ``b`` of region ``r`` lies at ``kv_caches_base_addr[r] + b * block_strides[r]`` and has ``block_lens[r]``
    bytes; ``block_size`` is in tokens.
    """

    engine_id: str
    agent_metadata: bytes
    kv_caches_base_addr: list[int]
    device_id: int
    num_blocks: int
    block_lens: list[int]
    block_strides: list[int] = []
    kv_cache_layout: str
    block_size: int
    ssm_sizes: tuple[int, int]
    attn_backend_name: str
    physical_blocks_per_logical_kv_block: int
    region_num_blocks: list[int] | None = None
    region_group_ids: list[int] | None = None
    region_names: list[str] | None = None
    region_mem_types: list[str] | None = None
    dcp_size: int = 1
    pcp_size: int = 1
    ple_block_len: int | None = None
    region_members: list[list[str]] = []
    packed_member_layouts: Any = None
    tandem_generation: str | None = None
    """The ``Seal.generation`` of what lies there now; vLLM ignores it, and a stock vLLM does not send it."""


class NixlHandshakePayload(msgspec.Struct, kw_only=True):
    """Wrap encoded ``NixlAgentMetadata`` with the hash that vLLM compares before it decodes them."""

    compatibility_hash: str
    agent_metadata_bytes: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Handshake:
    """Hold a worker's answer; ``clock`` is its ``perf_counter`` in seconds, comparable with nothing else."""

    compatibility_hash: str
    metadata: NixlAgentMetadata
    clock: float

    @property
    def life(self) -> Life:
        """Who answered."""
        return Life(self.metadata.engine_id, self.metadata.tandem_generation or "")


Rank = tuple[int, int]
"""Pipeline rank, tensor-parallel rank."""


@asynccontextmanager
async def listener(host: str, port: int) -> AsyncIterator[zmq.asyncio.Socket]:
    """Bind the worker's end; raise ``HandoffError`` where the address is taken or not ours."""
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.ROUTER)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        try:
            socket.bind(_address(host, port))
        except zmq.ZMQError as error:
            raise HandoffError(Code.KV_TRANSFER, f"side channel cannot listen on {host}:{port}: {error}") from error
        yield socket
    finally:
        socket.close()
        context.term()


async def serve(socket: zmq.asyncio.Socket, payloads: Mapping[Rank, NixlHandshakePayload]) -> NoReturn:
    """Answer handshakes until cancelled; a malformed request, or one for an unknown rank, is logged and not answered.

    An asker's own time limit then ends its wait, as it does against vLLM.
    """
    encoded = {rank: msgspec.msgpack.encode(payload) for rank, payload in payloads.items()}
    while True:
        frames: list[bytes] = await socket.recv_multipart()
        rank = _requested_rank(frames)
        if rank not in encoded:
            log.warning("refused a handshake request for rank %s, served: %s", rank, sorted(encoded))
            continue
        clock = msgspec.msgpack.encode(time.perf_counter())
        await socket.send_multipart([frames[0], b"", encoded[rank], clock])


async def fetch(host: str, port: int, *, pp_rank: int | None = 0, tp_rank: int = 0, timeout: float = 5.0) -> Handshake:
    """Ask a worker where its KV lies; ``pp_rank`` is None for a worker that knows no pipeline ranks.

    Raises ``HandoffError``: ``KV_TRANSFER`` if nobody answers within ``timeout`` seconds, ``KV_LAYOUT`` if the answer
    is not a handshake of vLLM's connector or contradicts itself.
    """
    rank = (tp_rank,) if pp_rank is None else (pp_rank, tp_rank)
    frames = await _ask(_address(host, port), msgspec.msgpack.encode((GET_META, *rank)), timeout)
    try:
        payload = msgspec.msgpack.decode(frames[0], type=NixlHandshakePayload)
        metadata = msgspec.msgpack.decode(payload.agent_metadata_bytes, type=NixlAgentMetadata)
        clock = msgspec.msgpack.decode(frames[1], type=float) if len(frames) > 1 else 0.0
    except msgspec.MsgspecError as error:
        raise HandoffError(Code.KV_LAYOUT, f"{host}:{port} answered no usable NIXL handshake: {error}") from error
    if not metadata.block_strides:  # as before connector version 9: blocks follow each other without a gap
        metadata = msgspec.structs.replace(metadata, block_strides=metadata.block_lens)
    _check_regions(metadata)
    return Handshake(compatibility_hash=payload.compatibility_hash, metadata=metadata, clock=clock)


async def _ask(address: str, request: bytes, timeout: float) -> list[bytes]:
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.REQ)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
        socket.connect(address)
        await socket.send(request)
        if not await socket.poll(round(timeout * 1000)):
            raise HandoffError(Code.KV_TRANSFER, f"no NIXL handshake from {address} within {timeout:g} s")
        frames: list[bytes] = await socket.recv_multipart()
        return frames
    except zmq.ZMQError as error:
        raise HandoffError(Code.KV_TRANSFER, f"cannot ask {address} for a NIXL handshake: {error}") from error
    finally:
        socket.close()
        context.term()


def _requested_rank(frames: list[bytes]) -> Rank | None:
    """Return the rank asked for, None where the request is malformed."""
    if len(frames) != 3 or frames[1] != b"":
        return None
    try:
        message, pp_rank, tp_rank = msgspec.msgpack.decode(frames[2], type=tuple[bytes, int, int])
    except msgspec.MsgspecError:
        return None
    return (pp_rank, tp_rank) if message == GET_META else None


def _check_regions(metadata: NixlAgentMetadata) -> None:
    counts = {len(metadata.kv_caches_base_addr), len(metadata.block_lens), len(metadata.block_strides)}
    if len(counts) != 1 or not metadata.kv_caches_base_addr:
        raise HandoffError(Code.KV_LAYOUT, f"region lists of the handshake have lengths {sorted(counts)}, not one")
    if metadata.num_blocks < 1 or metadata.block_size < 1 or min(metadata.block_lens) < 1:
        raise HandoffError(Code.KV_LAYOUT, "the handshake names a region without blocks, tokens or bytes")


def _address(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
