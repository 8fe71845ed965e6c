"""A real vLLM holds blocks for their reader, shows that it does, and frees them when it is told to."""

from __future__ import annotations

import pytest

from tests.vllm.client import LONG, Client
from tests.vllm.programs import PREFILL, WORKERS

pytestmark = pytest.mark.vllm


async def test_blocks_are_held_and_counted_until_a_notification_without_a_read(client: Client) -> None:
    params = await client.prefill(LONG)
    held = await client.metric(PREFILL, "vllm:kv_cache_usage_perc")
    assert held > 0
    assert await client.metric(PREFILL, "vllm:num_requests_running") == 0  # held although nothing runs
    await client.abort(params)
    await client.until(PREFILL, "vllm:kv_cache_usage_perc", 0, WORKERS.kv_lease_seconds / 2)
    assert await client.metric(PREFILL, "vllm:nixl_num_kv_expired_reqs_total") == 0
