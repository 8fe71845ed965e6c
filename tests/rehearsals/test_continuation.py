"""Kill one process while many clients read: each reads the tokens that a single process writes, none lost or twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tandem.rehearsal.run import Rehearsal
from tandem.rehearsal.service import Service
from tandem.spec.read import parse
from tests.rehearsals.test_kills import ROOT, client, kill, victim

pytestmark = pytest.mark.rehearsal

STREAMS = 24
TOKENS = 24
PROMPTS = [f"Tell me something about the number {number}." for number in range(STREAMS)]


def alone(engine: Engine, text: str) -> str:
    """Return the answer of a single process."""
    prompt = engine.tokenizer.chat([{"role": "user", "content": text}])
    cache = engine.new_cache(len(prompt) + TOKENS)
    engine.prefill(prompt, cache)
    return engine.tokenizer.decode(list(engine.generate(prompt, cache, Sampling(temperature=0), max_tokens=TOKENS)))


def read(service: Service, text: str, arrived: threading.Semaphore) -> str:
    """Read an answer's stream, and tell of each piece."""
    asked: Any = {"messages": [{"role": "user", "content": text}], "max_tokens": TOKENS, "temperature": 0}
    received = ""
    with client(service) as openai:
        for chunk in openai.chat.completions.create(model=service.model, stream=True, timeout=300, **asked):
            if chunk.choices and chunk.choices[0].delta.content:
                received += chunk.choices[0].delta.content
                arrived.release()
    return received


def read_all_and_kill(service: Service, name: str) -> list[str]:
    """Return every client's answer; the process is killed when a part of the tokens has arrived."""
    arrived = threading.Semaphore(0)
    with ThreadPoolExecutor(STREAMS) as pool:
        answers = [pool.submit(read, service, text, arrived) for text in PROMPTS]
        for _ in range(STREAMS * TOKENS // 6):
            assert arrived.acquire(timeout=120)
        kill(victim(service, name))
        return [answer.result(timeout=300) for answer in answers]


@pytest.mark.parametrize("name", ["endpoint-cs3"])
def test_killed_endpoint_loses_no_token_of_any_stream(tmp_path: Path, name: str) -> None:
    text = (ROOT / "deployments" / "rehearsal.yaml").read_text()
    more = "endpoint: https://cs3.example.com\n  more_endpoints: [https://cs3-b.example.com]"
    text = text.replace("endpoint: https://cs3.example.com", more)
    file = tmp_path / "two-endpoints.yaml"
    file.write_text(text)
    deployment, _ = parse(text, file)
    assert deployment
    found: list[str] = []
    rehearsal = Rehearsal(file, deployment, root=ROOT, work=tmp_path, say=lambda text, end="": None)
    rehearsal.run([], hold=lambda service, _: found.extend(read_all_and_kill(service, name)))
    engine = Engine.load()
    assert found == [alone(engine, prompt) for prompt in PROMPTS]
