"""KV that a real vLLM computed is the KV that our engine computes, within what bf16 weights and elements allow."""

from __future__ import annotations

import ctypes
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from runtime.handoff import fields, sidechannel
from runtime.handoff.contract import HandoffError
from runtime.handoff.kv.memory import Integers
from runtime.handoff.notification import ReadDone
from runtime.handoff.seal import Seal
from runtime.handoff.transport.agent import Agent
from runtime.handoff.transport.nixl import NixlAgent
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.layer import Half
from runtime.standins.reader import pull
from runtime.standins.reader.landing import Landing
from tests.vllm.client import PROMPTS, SHORT, Client, messages
from tests.vllm.programs import HANDSHAKE_SECONDS, PREFILL, WORKERS, cpu_kv

pytestmark = pytest.mark.vllm

MOST_LOGIT_DISTANCE = 0.5
"""Of any of 49,152 logits after the prompt, which spread over 33 to 39; measured were 0.20 to 0.24."""


@pytest.fixture(scope="module")
def agent(system: object) -> Iterator[Agent]:
    """Yield a reader's NIXL agent."""
    agent = NixlAgent(f"reader-{uuid.uuid4()}")
    yield agent
    agent.close()


async def read(params: dict[str, Any], engine: Engine, agent: Agent, cache: Half, flip: int = 0) -> Landing:
    """Read a prefilled prompt as the emulator does, but for its verdict; tell the worker."""
    shaken = await sidechannel.fetch(PREFILL.address, WORKERS.side_channel_port, timeout=HANDSHAKE_SECONDS)
    blocks, num_tokens = params[fields.REMOTE_BLOCK_IDS][0], params[fields.REMOTE_NUM_TOKENS]
    seal = Seal.from_params(params[fields.TANDEM][fields.SEAL], num_tokens=num_tokens)
    assert seal is not None
    assert shaken.life.generation == seal.generation
    landing = Landing(pull.holding(shaken.metadata, cpu_kv(), blocks), num_tokens, cache, seal)
    registration = agent.register(landing.memory)
    peer = agent.add_remote(shaken.metadata.agent_metadata)

    async def bring(pairs: Integers) -> int:
        moved = await agent.read(peer, pairs, b"", timeout=HANDSHAKE_SECONDS)
        ctypes.c_uint8.from_address(int(pairs[-1, 0])).value ^= flip
        return moved

    await landing.bring(bring)
    agent.notify(peer, ReadDone(params[fields.REMOTE_REQUEST_ID], readers=1).message())
    agent.deregister(registration)
    return landing


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
async def test_logits_from_vllms_kv_are_those_from_our_own(
    client: Client, engine: Engine, agent: Agent, prompt: str
) -> None:
    ids = engine.tokenizer.chat(messages(prompt))
    theirs, ours = engine.new_cache(len(ids)), engine.new_cache(len(ids))
    params = await client.prefill(prompt)
    assert params[fields.REMOTE_NUM_TOKENS] == len(ids)
    await read(params, engine, agent, theirs)
    engine.prefill(ids, ours)
    from_theirs, from_ours = (engine.step(ids[-1], len(ids) - 1, cache) for cache in (theirs, ours))
    distance = float(np.abs(from_theirs - from_ours).max())
    print(f"{len(ids)} tokens: logits differ by at most {distance:.3f}, of {np.ptp(from_ours):.1f}")
    assert from_theirs.argmax() == from_ours.argmax()
    assert distance < MOST_LOGIT_DISTANCE


async def test_the_seal_is_of_what_lies_in_the_blocks_and_of_nothing_else(
    client: Client, engine: Engine, agent: Agent
) -> None:
    for flip in (0, 1):
        params = await client.prefill(SHORT)
        landing = await read(params, engine, agent, engine.new_cache(params[fields.REMOTE_NUM_TOKENS]), flip)
        with nullcontext() if not flip else pytest.raises(HandoffError, match="not what the worker computed"):
            landing.verify()
