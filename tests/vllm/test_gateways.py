"""Answers of disaggregated systems are those of one engine: like is compared with like."""

from __future__ import annotations

import pytest

from runtime.handoff import contract
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tests.vllm.client import PROMPTS, Client, messages
from tests.vllm.programs import DECODE, EMULATOR, KV_GATEWAY, PREFILL, VLLM_GATEWAY, WORKERS, cpu_kv

pytestmark = pytest.mark.vllm

TIE = 0.25
"""Log probabilities so near are one: logits of some 16 to 32 are 0.125 apart in bf16.

With AMX one token and a whole prompt are multiplied by other kernels, and round differently.
"""


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
async def test_vllm_decodes_vllms_kv_to_the_tokens_of_vllm_alone(client: Client, prompt: str) -> None:
    received = await client.metric(DECODE, "vllm:nixl_bytes_transferred_sum")
    tokens, _ = await client.ask(VLLM_GATEWAY, prompt)
    alone, _ = await client.ask(PREFILL, prompt)
    assert len(tokens) > 3
    if tokens != alone:
        likely = await client.likely(PREFILL, prompt)
        first = next(at for at, (ours, theirs) in enumerate(zip(tokens, alone, strict=True)) if ours != theirs)
        assert abs(likely[first][tokens[first]] - likely[first][alone[first]]) <= TIE
    assert await client.metric(DECODE, "vllm:nixl_bytes_transferred_sum") > received
    await client.until(PREFILL, "vllm:kv_cache_usage_perc", 0, WORKERS.kv_lease_seconds / 2)


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
async def test_the_emulator_decodes_vllms_kv_and_its_worker_frees_it(
    client: Client, engine: Engine, prompt: str
) -> None:
    tokens, response = await client.ask(KV_GATEWAY, prompt)
    ids = engine.tokenizer.chat(messages(prompt))
    cache = engine.new_cache(len(ids) + 24)
    engine.prefill(ids, cache)
    own = list(engine.generate(ids, cache, Sampling(), max_tokens=24))
    assert tokens[0] == own[0]
    blocks = -(-len(ids) // WORKERS.block_size)
    assert int(response.headers[contract.KV_BYTES_HEADER]) == blocks * 30 * cpu_kv().block_bytes()
    imports = "tandem_decode_kv_imports_total"
    assert await client.metric(EMULATOR, imports) == await client.metric(EMULATOR, imports + '{integrity="digest"}')
    # far less than the lease: the blocks went because the emulator said that it had read them
    await client.until(PREFILL, "vllm:kv_cache_usage_perc", 0, WORKERS.kv_lease_seconds / 2)
