"""Ask the real model, in this process and in a reference process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tests.patience import HUNG_SECONDS

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
LONG = [{"role": "user", "content": "Tell me about the sea. " * 30}]  # more than one chunk


def reference(*lines: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime.standins.engine"]
    return subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, timeout=HUNG_SECONDS, check=False
    )


def answer(engine: Engine, messages: list[dict[str, str]], max_tokens: int) -> dict[str, Any]:
    """Prefill into one cache and decode from a copy of another size, as a handoff does."""
    prompt = engine.tokenizer.chat(messages)
    prefilled, cache = engine.new_cache(len(prompt)), engine.new_cache(len(prompt) + max_tokens)
    engine.prefill(prompt, prefilled)
    cache[:, :, :, : len(prompt)] = prefilled
    generation = engine.generate(prompt, cache, Sampling(), max_tokens=max_tokens)
    tokens = list(generation)
    text, reason = engine.tokenizer.decode(tokens), generation.finish_reason
    return {"prompt_tokens": len(prompt), "token_ids": tokens, "text": text, "finish_reason": reason}


def test_the_model_has_the_size_we_state(engine: Engine) -> None:
    assert engine.geometry.kv_bytes_per_token == 23040
    assert engine.new_cache(10).nbytes == 10 * 23040


def test_a_moved_cache_answers_as_the_reference_process_does(engine: Engine) -> None:
    lines = [json.dumps({"messages": messages, "max_tokens": 12}) for messages in (MESSAGES, LONG)]
    known, long = (json.loads(line) for line in reference(*lines).stdout.splitlines())
    assert known["text"] == "The capital of France is Paris."
    assert known["finish_reason"] == "stop"
    assert long["finish_reason"] == "length"
    assert [known, long] == [answer(engine, messages, 12) for messages in (MESSAGES, LONG)]


@pytest.mark.parametrize("line", ["{", "[]", '{"messages": [], "max_tokens": 1}'])
def test_the_reference_refuses_a_bad_line(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    from runtime.standins.engine.__main__ import main

    monkeypatch.setattr(Engine, "load", lambda: engine)
    monkeypatch.setattr("sys.stdin", iter([line]))
    assert main() == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
