"""Ask the deployed gateway by a real client, and keep what came back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from openai import DefaultHttpxClient, OpenAI, OpenAIError
from openai.types.chat import ChatCompletionChunk

from runtime.handoff.contract import KV_BYTES_HEADER, SERVER_TIMING
from tandem.rehearsal.errors import RehearsalError

_PHASE = re.compile(r"([a-z_]+);dur=([0-9.]+)")
_TIMEOUT_SECONDS = 300


class PromptError(RehearsalError):
    """Say which prompt was not answered, and how."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """Hold one question; greedy, so that two runs can be compared token by token."""

    name: str
    text: str
    max_tokens: int


@dataclass(slots=True)
class Answer:
    """Hold what a prompt got: text, counts, and times in milliseconds; ``phases_ms`` sum to ``ttft_ms``."""

    prompt: Prompt
    route: str = "load-balancer"
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    kv_bytes: int = 0
    ttft_ms: float = 0.0
    total_ms: float = 0.0
    phases_ms: dict[str, float] = field(default_factory=dict)


def default_prompts(root: Path) -> list[Prompt]:
    """Return a short prompt, one in other scripts, and one of more than 2,000 tokens."""
    licence = (root / "LICENSE").read_text(encoding="utf-8")
    return [
        Prompt(name="short", text="What is the capital of France? Answer in one sentence.", max_tokens=32),
        Prompt(name="unicode", text="Translate to English: «¿Dónde está la biblioteca?» 📚 東京", max_tokens=32),
        Prompt(name="long", text=f"{licence}\n\nIn one sentence: what is this text?", max_tokens=24),
    ]


def ask(
    url: str, key: str, model: str, prompt: Prompt, show: Callable[[str], None], http: DefaultHttpxClient | None = None
) -> Answer:
    """Stream one answer, passing its text to ``show``; raise ``PromptError`` if it does not end well.

    ``http`` takes the place of the plain client for a route that asks for more than a key.
    """
    # no proxy leads to an address of the rehearsal's own; and like a load balancer, it verifies no target
    http = http or DefaultHttpxClient(trust_env=False, verify=False)
    client = OpenAI(base_url=f"{url}/v1", api_key=key, timeout=_TIMEOUT_SECONDS, max_retries=0, http_client=http)
    try:
        with client:
            return _stream(client, model, prompt, show)
    except (OpenAIError, json.JSONDecodeError) as error:  # the client does not wrap a chunk that is no JSON
        raise PromptError(f"prompt {prompt.name} was not answered: {error}") from error


def _stream(client: OpenAI, model: str, prompt: Prompt, show: Callable[[str], None]) -> Answer:
    answer, started = Answer(prompt), time.perf_counter()
    response = client.chat.completions.with_raw_response.create(
        model=model,
        messages=[{"role": "user", "content": prompt.text}],
        max_tokens=prompt.max_tokens,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"return_token_ids": True},
    )
    finished = False
    for chunk in response.parse():
        finished = _take(chunk, answer, started, show) or finished
    if not finished:
        raise PromptError(f"prompt {prompt.name}: the answer ended without a finish reason")
    answer.total_ms = _since(started)
    answer.kv_bytes = int(response.headers.get(KV_BYTES_HEADER, 0))
    answer.phases_ms = _phases(response.headers.get(SERVER_TIMING, ""), answer.ttft_ms)
    return answer


def _take(chunk: ChatCompletionChunk, answer: Answer, started: float, show: Callable[[str], None]) -> bool:
    """Add a chunk to the answer; return whether it holds the finish reason."""
    if chunk.usage:
        answer.prompt_tokens, answer.completion_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
    for choice in chunk.choices:
        answer.token_ids += getattr(choice, "token_ids", None) or []
        if choice.delta.content or choice.finish_reason:
            answer.ttft_ms = answer.ttft_ms or _since(started)
        if choice.delta.content:
            answer.text += choice.delta.content
            show(choice.delta.content)
    return any(choice.finish_reason for choice in chunk.choices)


def _phases(timing: str, ttft_ms: float) -> dict[str, float]:
    phases = {name: float(duration) for name, duration in _PHASE.findall(timing)}
    return {**phases, "first_token": round(ttft_ms - sum(phases.values()), 3)}


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
