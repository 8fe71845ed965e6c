"""The rehearsal's client keeps what an answer was, and reports every way in which it was none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runtime.handoff.contract import KV_BYTES_HEADER, SERVER_TIMING
from tandem.rehearsal.clients.prompts import Answer, Prompt, PromptError, ask, default_prompts

PROMPT = Prompt(name="short", text="Hello?", max_tokens=8)
ROOT = Path(__file__).parents[4]


def chunk(content: str | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish, **more}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


USAGE = {**chunk(), "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
ANSWER = [
    chunk("", token_ids=None),
    chunk("Hel", token_ids=[5]),
    chunk("lo", token_ids=[6]),
    chunk(finish="stop"),
    USAGE,
]


class Gateway:
    """Answer chats with given chunks; hold the requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.headers: dict[str, str] = {}
        self.events: list[str] = []
        self.breaks = False
        self.requests: list[dict[str, Any]] = []
        self.authorization: str | None = None

    def stream(self, *chunks: dict[str, Any]) -> None:
        """Answer with these chunks."""
        self.events = [*map(json.dumps, chunks), "[DONE]"]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    gateway = Gateway(f"http://127.0.0.1:{server.server_address[1]}")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions"
            gateway.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            gateway.authorization = self.headers["Authorization"]
            body = "".join(f"data: {event}\n\n" for event in gateway.events).encode()
            self.send_response(gateway.status)
            for name, value in gateway.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "text/event-stream" if gateway.status == 200 else "application/json")
            self.send_header("Content-Length", str(len(body) + gateway.breaks))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield gateway
    server.shutdown()
    thread.join()
    server.server_close()


def asked(gateway: Gateway, show: Callable[[str], None] = lambda text: None) -> Answer:
    return ask(gateway.url, "key", "m", PROMPT, show)


def test_keeps_text_tokens_and_counts(gateway: Gateway) -> None:
    gateway.stream(*ANSWER)
    gateway.headers = {KV_BYTES_HEADER: "123"}
    shown: list[str] = []
    answer = asked(gateway, shown.append)
    assert shown == ["Hel", "lo"]
    assert (answer.text, answer.token_ids) == ("Hello", [5, 6])
    assert (answer.prompt_tokens, answer.completion_tokens, answer.kv_bytes) == (3, 2, 123)
    assert 0 < answer.ttft_ms <= answer.total_ms


def test_asks_greedily_for_tokens_and_usage(gateway: Gateway) -> None:
    gateway.stream(*ANSWER)
    asked(gateway)
    assert gateway.authorization == "Bearer key"
    assert gateway.requests == [
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Hello?"}],
            "max_tokens": 8,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
        }
    ]


def test_phases_sum_to_the_time_to_the_first_token(gateway: Gateway) -> None:
    gateway.stream(*ANSWER)
    gateway.headers = {SERVER_TIMING: "reserve;dur=0.1, prefill;dur=1.25, handshake;dur=0.5, transfer;dur=0"}
    answer = asked(gateway)
    assert list(answer.phases_ms) == ["reserve", "prefill", "handshake", "transfer", "first_token"]
    assert answer.phases_ms["prefill"] == 1.25
    assert sum(answer.phases_ms.values()) == pytest.approx(answer.ttft_ms, abs=0.002)


def test_an_answer_without_text_has_a_first_token_when_it_ends(gateway: Gateway) -> None:
    gateway.stream(chunk(finish="stop"), USAGE)
    answer = asked(gateway)
    assert answer.text == ""
    assert answer.phases_ms == {"first_token": answer.ttft_ms}
    assert answer.ttft_ms > 0


@pytest.mark.parametrize("chunks", [[], ANSWER[:3], [*ANSWER[:3], USAGE]])
def test_reports_an_answer_without_a_finish_reason(gateway: Gateway, chunks: list[dict[str, Any]]) -> None:
    gateway.stream(*chunks)
    with pytest.raises(PromptError, match="prompt short: the answer ended without a finish reason"):
        asked(gateway)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 500, 503])
def test_reports_a_refusal_at_once(gateway: Gateway, status: int) -> None:
    gateway.status, gateway.headers = status, {"Retry-After": "0"}
    with pytest.raises(PromptError, match=f"prompt short was not answered: .*{status}"):
        asked(gateway)
    assert len(gateway.requests) == 1, "a rehearsal must not hide a failure by asking again"


def test_reports_an_error_in_the_stream(gateway: Gateway) -> None:
    gateway.stream(ANSWER[1], {"error": {"message": "decoder died", "code": "decode_failed"}})
    with pytest.raises(PromptError, match="prompt short was not answered: decoder died"):
        asked(gateway)


def test_reports_a_stream_that_breaks(gateway: Gateway) -> None:
    gateway.stream(*ANSWER)
    gateway.events.pop()
    gateway.breaks = True
    with pytest.raises(PromptError, match="prompt short was not answered"):
        asked(gateway)


def test_reports_a_chunk_that_is_no_json(gateway: Gateway) -> None:
    gateway.events = ["{"]
    with pytest.raises(PromptError, match="prompt short was not answered"):
        asked(gateway)


def test_reports_that_nobody_listens(gateway: Gateway) -> None:
    gateway.url = "http://127.0.0.1:9"
    with pytest.raises(PromptError, match="prompt short was not answered: Connection error"):
        asked(gateway)


def test_goes_by_no_proxy(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    gateway.stream(*ANSWER)
    assert asked(gateway).text == "Hello"


def test_the_default_prompts_are_short_foreign_and_long() -> None:
    short, other, long = default_prompts(ROOT)
    assert short.text.isascii()
    assert not other.text.isascii()
    assert len(long.text) > 4 * 2000
    assert len({prompt.name for prompt in (short, other, long)}) == 3
