"""Write a chat completion as Converse and InvokeModel answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from runtime.handoff.contract import Code, HandoffError

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "content_filtered",
}


def converse(completion: Mapping[str, Any], latency_ms: int) -> dict[str, Any]:
    """Return Converse's answer; raise ``HandoffError`` (``decode_failed``) where the completion is none."""
    try:
        [choice] = completion["choices"]
        message = choice["message"]
        content, broken = _content(message)
        stopped = "malformed_tool_use" if broken else stop_reason(choice)
        return {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": stopped,
            "usage": usage(completion["usage"]),
            "metrics": {"latencyMs": latency_ms},
        }
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(error) from error


def token_counts(completion: Mapping[str, Any]) -> tuple[int, int]:
    """Return the tokens of prompt and answer; raise ``HandoffError`` (``decode_failed``)."""
    try:
        counted = usage(completion["usage"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(error) from error
    return counted["inputTokens"], counted["outputTokens"]


def stop_reason(choice: Mapping[str, Any]) -> str:
    """Return why a choice ended, in Bedrock's words; vLLM names the stop sequence that was met."""
    if choice["finish_reason"] == "stop" and isinstance(choice.get("stop_reason"), str):
        return "stop_sequence"
    return _STOP_REASONS[choice["finish_reason"]]


def usage(given: Mapping[str, Any]) -> dict[str, int]:
    """Return an OpenAI ``usage`` in Bedrock's words."""
    counted = {
        "inputTokens": int(given["prompt_tokens"]),
        "outputTokens": int(given["completion_tokens"]),
        "totalTokens": int(given["total_tokens"]),
    }
    cached = (given.get("prompt_tokens_details") or {}).get("cached_tokens")
    return counted | ({} if cached is None else {"cacheReadInputTokens": int(cached)})


def reasoning(part: Mapping[str, Any]) -> str | None:
    """Return the reasoning in a message or a delta, by vLLM's and Cerebras' name, or by the older one."""
    found: str | None = part.get("reasoning") or part.get("reasoning_content")
    return found


def _content(message: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """Return the content blocks, and whether a tool's arguments were no JSON and had to be left out."""
    blocks: list[dict[str, Any]] = []
    if thought := reasoning(message):
        blocks.append({"reasoningContent": {"reasoningText": {"text": thought}}})
    if text := message.get("content"):
        blocks.append({"text": text})
    broken = False
    for call in message.get("tool_calls") or []:
        function = call["function"]
        try:
            arguments = json.loads(function["arguments"] or "{}")
        except ValueError:
            broken = True
            continue
        blocks.append({"toolUse": {"toolUseId": call["id"], "name": function["name"], "input": arguments}})
    return blocks, broken


def _unreadable(error: Exception) -> HandoffError:
    message = f"the decode endpoint answered with no chat completion: {type(error).__name__}: {error}"
    return HandoffError(Code.DECODE_FAILED, message[:300])
