"""The same handoff over TCP instead of NIXL, and no transport in another's place."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from runtime.handoff import settings
from runtime.handoff.transport.choose import Transport
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tests.runtime.standins.cs3.flow import SHORT, Gateway, emulator, prefill_worker

PROVIDER = 'tandem_decode_transport_info{provider="tcp"}'
WORKER_HOST = "127.77.0.5"


async def test_kv_over_tcp_gives_the_same_answer(
    http: aiohttp.ClientSession, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.TRANSPORT, Transport.TCP)
    with (
        emulator(tmp_path / "emulator.log") as (_, decode),
        prefill_worker(tmp_path / "worker.log", WORKER_HOST) as (_, prefill),
    ):
        gateway = Gateway(http, decode, prefill)
        assert await gateway.metric(PROVIDER) == 1
        answer = await gateway.decode(await gateway.ready())
        await gateway.until_free()
    prompt = engine.tokenizer.chat(SHORT)
    cache = engine.new_cache(len(prompt) + 8)
    engine.prefill(prompt, cache)
    alone = engine.tokenizer.decode(list(engine.generate(prompt, cache, Sampling(), max_tokens=8)))
    assert answer.status == 200
    assert answer.body["choices"][0]["message"]["content"] == alone
    assert "transport tcp" in (tmp_path / "worker.log").read_text()


async def test_a_worker_of_another_transport_is_refused_and_holds_nothing_for_long(
    processes: tuple[str, str], http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.TRANSPORT, Transport.TCP)
    # nobody can tell the worker: its lease frees the blocks
    with prefill_worker(tmp_path / "worker.log", WORKER_HOST, lease_seconds=1) as (_, prefill):
        gateway = Gateway(http, processes[0], prefill)
        answer = await gateway.decode(await gateway.ready())
        assert (answer.code, answer.body["error"]["phase"]) == ("kv_transfer", "handshake")
        await gateway.until_free()
