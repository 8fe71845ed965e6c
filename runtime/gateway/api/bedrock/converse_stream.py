"""Write the chunks of a chat completion as ConverseStream's events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runtime.gateway.api.bedrock.answer import reasoning, stop_reason, usage
from runtime.gateway.api.bedrock.eventstream import event


class ConverseEvents:
    """Turn one answer's chunks into encoded events; ``latency_ms`` is asked when the answer is complete.

    Content blocks follow one another: a chunk of another kind, or of another tool call, ends the block before. The
    first event is the role, the last the usage, which a chunk without choices brings after the reason of the end.
    """

    def __init__(self, latency_ms: Callable[[], int]) -> None:
        self._latency_ms = latency_ms
        self._block: object = None
        self._index = -1
        self._begun = False
        self._stopped: str | None = None
        self.finished = False
        """Whether the usage was told, without which an answer is not complete."""

    def push(self, chunk: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the events of one chunk; raise ``LookupError``, ``TypeError`` or ``ValueError`` where it is none."""
        if not self._begun:
            self._begun = True
            yield event("messageStart", {"role": "assistant"})
        for choice in chunk["choices"]:
            yield from self._delta(choice["delta"])
            if choice.get("finish_reason"):
                yield from self._stop_block()
                self._stopped = stop_reason(choice)
                yield event("messageStop", {"stopReason": self._stopped})
        if chunk.get("usage") and self._stopped and not chunk["choices"]:
            self.finished = True
            metrics = {"latencyMs": self._latency_ms()}
            yield event("metadata", {"usage": usage(chunk["usage"]), "metrics": metrics})

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[bytes]:
        if thought := reasoning(delta):
            yield from self._in_block("reasoning")
            yield self._content({"reasoningContent": {"text": thought}})
        if text := delta.get("content"):
            yield from self._in_block("text")
            yield self._content({"text": text})
        for call in delta.get("tool_calls") or []:
            yield from self._tool_call(call)

    def _tool_call(self, call: Mapping[str, Any]) -> Iterator[bytes]:
        function = call.get("function") or {}
        if self._block != ("tool", call["index"]):
            yield from self._stop_block()
            self._block, self._index = ("tool", call["index"]), self._index + 1
            start = {"toolUse": {"toolUseId": call["id"], "name": function["name"]}}
            yield event("contentBlockStart", {"start": start, "contentBlockIndex": self._index})
        if arguments := function.get("arguments"):
            yield self._content({"toolUse": {"input": arguments}})

    def _in_block(self, kind: str) -> Iterator[bytes]:
        if self._block != kind:
            yield from self._stop_block()
            self._block, self._index = kind, self._index + 1

    def _stop_block(self) -> Iterator[bytes]:
        if self._block is not None:
            self._block = None
            yield event("contentBlockStop", {"contentBlockIndex": self._index})

    def _content(self, delta: Mapping[str, Any]) -> bytes:
        return event("contentBlockDelta", {"delta": delta, "contentBlockIndex": self._index})
