"""An endpoint, or a vLLM worker, is killed while it answers: the client's stream equals a single process's."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.handoff.contract import CHAT_COMPLETIONS, COMPLETIONS
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tests.runtime.gateway.between import CERTIFICATE, between
from tests.runtime.gateway.conftest import GATEWAY_KEY
from tests.runtime.standins.cs3 import flow

pytestmark = pytest.mark.rehearsal

MESSAGES = [{"role": "user", "content": "Name three colours."}]
TEXT = "Here is a list of ten colours:"
TOKENS = 40
ANSWERS = {"cs3": "tandem_decode_active", "vllm": "vllm:num_requests_running"}
"""By which of its metrics whoever decodes an answer is found."""


@dataclass(frozen=True)
class Asked:
    """Hold a request, and how a single process answers it."""

    provider: str
    path: str = CHAT_COMPLETIONS
    more: dict[str, Any] = field(default_factory=dict)
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def body(self) -> dict[str, Any]:
        """What a client sends."""
        prompt: dict[str, Any] = {"messages": MESSAGES} if self.path == CHAT_COMPLETIONS else {"prompt": TEXT}
        asked = {"model": flow.MODEL, "max_tokens": TOKENS, "temperature": 0, "stream": True, "return_token_ids": True}
        return {**asked, **prompt, **self.more}


ASKED = {
    "penalties": Asked(
        "cs3", more={"frequency_penalty": -2, "logprobs": True}, sampling=Sampling(frequency_penalty=-2)
    ),
    "JSON": Asked("cs3", more={"response_format": {"type": "json_object"}}, sampling=Sampling(json_object=True)),
    "text": Asked("cs3", COMPLETIONS, {"presence_penalty": -2}, Sampling(presence_penalty=-2)),
    "chat at vLLM": Asked("vllm"),
    "text at vLLM": Asked("vllm", COMPLETIONS),
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a prefill worker."""
    log = tmp_path_factory.mktemp("logs") / "worker.log"
    with flow.prefill_worker(log, certificate=CERTIFICATE) as (_, url):
        yield url


@pytest.fixture(params=ASKED.values(), ids=[*ASKED])
def asked(request: pytest.FixtureRequest) -> Asked:
    found: Asked = request.param
    return found


@pytest.fixture
async def running(asked: Asked, worker: str, tmp_path: Path) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Run the gateway before two that decode; yield its URL, and their processes by theirs."""
    with ExitStack() as processes:
        logs = [tmp_path / f"decode-{number}.log" for number in range(2)]
        if asked.provider == "cs3":
            started = [processes.enter_context(flow.emulator(log)) for log in logs]
        else:
            started = [processes.enter_context(flow.decode_worker(log, CERTIFICATE)) for log in logs]
        decoders = {url: process for process, url in started}
        async with between(decoders, worker, provider=asked.provider) as url:
            yield url, decoders


async def test_no_token_is_lost_repeated_or_another(asked: Asked, running: tuple[str, dict[str, Any]]) -> None:
    url, decoders = running
    headers = {"Authorization": f"Bearer {GATEWAY_KEY}"}
    text, ids, told, events = "", list[int](), 0, 0
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(url + asked.path, json=asked.body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if not line.startswith(b"data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                text += choice["text"] if asked.path == COMPLETIONS else choice["delta"].get("content") or ""
                ids += choice.get("token_ids") or []
                told += len((choice["logprobs"] or {}).get("content", []))
            events += 1
            if events == 6:
                await _kill_who_answers(decoders, ANSWERS[asked.provider])
    assert (ids, text) == alone(asked)
    assert told == (len(ids) if "logprobs" in asked.more else 0)
    assert len([process for process in decoders.values() if process.poll() is not None]) == 1


async def _kill_who_answers(decoders: dict[str, subprocess.Popen[bytes]], metric: str) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=CERTIFICATE.client())) as http:
        for url, process in decoders.items():
            async with http.get(f"{url}/metrics") as metrics:
                if re.search(rf"^{metric}(?:{{.*}})? 1\.0$", await metrics.text(), re.MULTILINE):
                    process.send_signal(signal.SIGKILL)
                    await asyncio.to_thread(process.wait)


def alone(asked: Asked) -> tuple[list[int], str]:
    engine = Engine.load()
    chat = asked.path == CHAT_COMPLETIONS
    prompt = engine.tokenizer.chat(MESSAGES) if chat else engine.tokenizer.encode(TEXT)
    cache = engine.new_cache(len(prompt) + TOKENS)
    engine.prefill(prompt, cache)
    ids = list(engine.generate(prompt, cache, asked.sampling, max_tokens=TOKENS))
    return ids, engine.tokenizer.decode(ids)
