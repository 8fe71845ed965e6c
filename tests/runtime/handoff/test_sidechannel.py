"""Speak the handshake over real sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec
import pytest
import zmq
import zmq.asyncio

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.sidechannel import NixlAgentMetadata, NixlHandshakePayload, listener, serve
from runtime.handoff.sidechannel import fetch as fetch_in_time
from tests.patience import HUNG_SECONDS
from tests.ports import free_port

fetch = partial(fetch_in_time, timeout=HUNG_SECONDS)

HOST = "127.0.0.1"

METADATA = NixlAgentMetadata(
    engine_id="engine",
    agent_metadata=b"\x00nixl",
    kv_caches_base_addr=[4096, 2**47],
    device_id=0,
    num_blocks=10,
    block_lens=[64, 64],
    block_strides=[64, 64],
    kv_cache_layout="NHD",
    block_size=16,
    ssm_sizes=(0, 0),
    attn_backend_name="NUMPY_ATTN",
    physical_blocks_per_logical_kv_block=1,
    region_names=["a", "b"],
)


def payload(metadata: object = METADATA) -> NixlHandshakePayload:
    return NixlHandshakePayload(compatibility_hash="hash", agent_metadata_bytes=msgspec.msgpack.encode(metadata))


@pytest.fixture
def port() -> int:
    return free_port(HOST)


@pytest.fixture
async def worker(port: int) -> AsyncIterator[int]:
    async with listener(HOST, port) as bound:
        task = asyncio.create_task(serve(bound, {(0, 0): payload()}))
        yield port
        task.cancel()


async def test_a_reader_learns_the_regions_and_the_clock(worker: int) -> None:
    handshake = await fetch(HOST, worker)
    assert handshake.metadata == METADATA
    assert handshake.compatibility_hash == "hash"
    assert handshake.clock > 0


async def test_the_frames_are_vllms(worker: int) -> None:
    context = zmq.asyncio.Context()
    asker = context.socket(zmq.REQ)
    asker.connect(f"tcp://{HOST}:{worker}")
    await asker.send(msgspec.msgpack.encode((b"get_meta_msg", 0, 0)))
    encoded, clock = await asker.recv_multipart()
    asker.close()
    context.term()
    assert set(msgspec.msgpack.decode(encoded)) == {"compatibility_hash", "agent_metadata_bytes"}
    inner = msgspec.msgpack.decode(msgspec.msgpack.decode(encoded)["agent_metadata_bytes"])
    assert inner["kv_caches_base_addr"] == [4096, 2**47]
    assert inner["ssm_sizes"] == [0, 0]
    assert isinstance(msgspec.msgpack.decode(clock), float)


async def test_a_worker_without_pipeline_ranks_is_asked_as_it_understands(port: int) -> None:
    # what vLLM 0.24 does with another request is to end its listener
    old = msgspec.to_builtins(METADATA, builtin_types=(bytes,))
    del old["block_strides"]
    async with listener(HOST, port) as bound:
        answer = asyncio.create_task(fetch(HOST, port, pp_rank=None, tp_rank=3))
        caller, _, request = await bound.recv_multipart()
        assert msgspec.msgpack.decode(request) == [b"get_meta_msg", 3]
        await bound.send_multipart([caller, b"", msgspec.msgpack.encode(payload(old))])
        handshake = await answer
    assert handshake.metadata.block_strides == METADATA.block_lens
    assert handshake.clock == 0


REQUESTS = {
    "no msgpack": [b"", b"\xc1"],
    "no tuple": [b"", msgspec.msgpack.encode(5)],
    "text for bytes": [b"", msgspec.msgpack.encode(("get_meta_msg", 0, 0))],
    "another message": [b"", msgspec.msgpack.encode((b"other", 0, 0))],
    "an unknown rank": [b"", msgspec.msgpack.encode((b"get_meta_msg", 0, 7))],
    "too few frames": [msgspec.msgpack.encode((b"get_meta_msg", 0, 0))],
    "too many frames": [b"", b"", b""],
}


@pytest.mark.parametrize("frames", REQUESTS.values(), ids=REQUESTS)
async def test_a_malformed_request_is_logged_and_the_worker_lives(
    worker: int, frames: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    context = zmq.asyncio.Context()
    asker = context.socket(zmq.DEALER)
    asker.connect(f"tcp://{HOST}:{worker}")
    with caplog.at_level(logging.WARNING):
        await asker.send_multipart(frames)
        assert (await fetch(HOST, worker)).metadata.engine_id == "engine"
        async with asyncio.timeout(HUNG_SECONDS):
            while "refused a handshake request" not in caplog.text:
                await asyncio.sleep(0.001)
    asker.close(linger=0)
    context.term()


async def test_fields_of_other_versions_are_ignored(port: int) -> None:
    metadata = msgspec.to_builtins(METADATA) | {"agent_metadata": b"\x00nixl", "added_in_version_99": [1]}
    async with listener(HOST, port) as bound:
        task = asyncio.create_task(serve(bound, {(0, 0): payload(metadata)}))
        assert (await fetch(HOST, port)).metadata == METADATA
        task.cancel()


WRONG: dict[str, Callable[[dict[str, object]], object]] = {
    "a field is missing": lambda fields: fields.pop("block_lens"),
    "a field has another type": lambda fields: fields.update(num_blocks="many"),
    "no regions": lambda fields: fields.update(kv_caches_base_addr=[], block_lens=[], block_strides=[]),
    "lists of two lengths": lambda fields: fields.update(block_strides=[64]),
    "no blocks": lambda fields: fields.update(num_blocks=0),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
async def test_unusable_metadata_is_a_layout_error(port: int, spoil: Callable[[dict[str, object]], object]) -> None:
    fields = msgspec.to_builtins(METADATA) | {"agent_metadata": b"\x00nixl"}
    spoil(fields)
    async with listener(HOST, port) as bound:
        task = asyncio.create_task(serve(bound, {(0, 0): payload(fields)}))
        with pytest.raises(HandoffError) as refused:
            await fetch(HOST, port)
        task.cancel()
    assert refused.value.code is Code.KV_LAYOUT


async def test_silence_is_a_transfer_error(port: int) -> None:
    with pytest.raises(HandoffError, match=r"within 0\.05 s") as refused:
        await fetch(HOST, port, timeout=0.05)
    assert refused.value.code is Code.KV_TRANSFER


async def test_a_taken_port_is_named(worker: int) -> None:
    with pytest.raises(HandoffError, match=f"cannot listen on {HOST}:{worker}"):
        async with listener(HOST, worker):
            pass


async def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(HandoffError, match="cannot ask"):
        await fetch("no host", 5600, timeout=0.05)
