"""An endpoint is killed while it answers: the client's stream equals a single process's, whatever was asked for."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.handoff.contract import CHAT_COMPLETIONS
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tests.runtime.gateway.between import CERTIFICATE, between
from tests.runtime.gateway.conftest import GATEWAY_KEY
from tests.runtime.standins.cs3 import flow

pytestmark = pytest.mark.rehearsal

Endpoints = dict[str, subprocess.Popen[bytes]]
MESSAGES = [{"role": "user", "content": "Name three colours."}]
TOKENS = 40
ASKED: dict[str, tuple[dict[str, Any], Sampling]] = {
    "penalties": ({"frequency_penalty": -2, "temperature": 0}, Sampling(frequency_penalty=-2)),
    "JSON": ({"response_format": {"type": "json_object"}, "temperature": 0}, Sampling(json_object=True)),
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a prefill worker."""
    log = tmp_path_factory.mktemp("logs") / "worker.log"
    with flow.prefill_worker(log, certificate=CERTIFICATE) as (_, url):
        yield url


@pytest.fixture
async def gateway(worker: str, tmp_path: Path) -> AsyncIterator[tuple[str, Endpoints]]:
    """Run the gateway before two endpoints; yield its URL, and the endpoints by theirs."""
    with ExitStack() as processes:
        logs = [tmp_path / f"emulator-{number}.log" for number in range(2)]
        started = [processes.enter_context(flow.emulator(log)) for log in logs]
        endpoints = {url: process for process, url in started}
        async with between(endpoints, worker) as url:
            yield url, endpoints


@pytest.mark.parametrize(("asked", "sampling"), ASKED.values(), ids=ASKED)
async def test_no_token_is_lost_repeated_or_another(
    gateway: tuple[str, Endpoints], asked: dict[str, Any], sampling: Sampling
) -> None:
    url, endpoints = gateway
    body = {"model": flow.MODEL, "messages": MESSAGES, "max_tokens": TOKENS, "stream": True, "logprobs": True, **asked}
    headers = {"Authorization": f"Bearer {GATEWAY_KEY}"}
    text, ids, told, events = "", list[int](), 0, 0
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(url + CHAT_COMPLETIONS, json={**body, "return_token_ids": True}) as answer,
    ):
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if not line.startswith(b"data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
                ids += choice.get("token_ids") or []
                told += len((choice["logprobs"] or {}).get("content", []))
            events += 1
            if events == 6:
                await _kill_who_answers(http, endpoints)
    assert (ids, text) == alone(sampling)
    assert told == len(ids)
    assert len([process for process in endpoints.values() if process.poll() is not None]) == 1


async def _kill_who_answers(http: aiohttp.ClientSession, endpoints: Endpoints) -> None:
    for url, process in endpoints.items():
        async with http.get(f"{url}/metrics") as metrics:
            if "tandem_decode_active 1.0" in await metrics.text():
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.wait)


def alone(sampling: Sampling) -> tuple[list[int], str]:
    engine = Engine.load()
    prompt = engine.tokenizer.chat(MESSAGES)
    cache = engine.new_cache(len(prompt) + TOKENS)
    engine.prefill(prompt, cache)
    ids = list(engine.generate(prompt, cache, sampling, max_tokens=TOKENS))
    return ids, engine.tokenizer.decode(ids)
