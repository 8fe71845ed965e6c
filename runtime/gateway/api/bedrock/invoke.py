"""Read and write InvokeModel, whose bodies are OpenAI's chat completions, as for Bedrock's own open-weight models."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from runtime.gateway.api.bedrock.answer import usage
from runtime.gateway.api.bedrock.check import invalid
from runtime.gateway.api.bedrock.eventstream import event

METRICS: Final = "amazon-bedrock-invocationMetrics"
"""Where Bedrock puts its counts in the last chunk of a stream."""
INPUT_TOKENS: Final = "X-Amzn-Bedrock-Input-Token-Count"
OUTPUT_TOKENS: Final = "X-Amzn-Bedrock-Output-Token-Count"
LATENCY: Final = "X-Amzn-Bedrock-Invocation-Latency"
"""The whole answer's, in milliseconds."""
BODY_TYPE: Final = "X-Amzn-Bedrock-Content-Type"
"""The type of each chunk of a stream."""


def chat_body(request: Mapping[str, Any], *, model: str, stream: bool) -> dict[str, Any]:
    """Return the chat completion in InvokeModel's body; raise ``HandoffError`` (``invalid_request``)."""
    if request.get("model") not in (None, model):
        raise invalid(f"model is {request['model']!r:.80}, the path names {model!r}: leave it out of the body")
    if request.get("stream") not in (None, stream):
        raise invalid(f"stream is {request['stream']!r:.80}: the operation decides, leave it out of the body")
    body = {**request, "model": model}
    body.pop("stream", None)
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


class InvokeEvents:
    """Wrap one answer's chunks as they are; the last, which has the usage, tells Bedrock's metrics as well."""

    def __init__(self, latency_ms: Callable[[], int]) -> None:
        self._latency_ms = latency_ms
        self._first_byte_ms: int | None = None
        self.finished = False
        """Whether the usage was told, without which an answer is not complete."""

    def push(self, chunk: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the event of one chunk; raise ``LookupError``, ``TypeError`` or ``ValueError`` where it is none."""
        if self._first_byte_ms is None:
            self._first_byte_ms = self._latency_ms()
        body = dict(chunk)
        if chunk.get("usage") and not chunk["choices"]:
            self.finished = True
            body[METRICS] = self._metrics(usage(chunk["usage"]), self._first_byte_ms)
        text = json.dumps(body, separators=(",", ":")).encode()
        yield event("chunk", {"bytes": base64.b64encode(text).decode()})

    def _metrics(self, counted: Mapping[str, int], first_byte_ms: int) -> dict[str, int]:
        return {
            "inputTokenCount": counted["inputTokens"],
            "outputTokenCount": counted["outputTokens"],
            "invocationLatency": self._latency_ms(),
            "firstByteLatency": first_byte_ms,
        }
