"""Turn Converse's messages, made of content blocks, into those of a chat completion."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from runtime.gateway.api.bedrock.check import invalid, item, keys, member, optional, variant

_BLOCKS: Final[Mapping[str, frozenset[str]]] = {
    "user": frozenset({"text", "toolResult", "cachePoint"}),
    "assistant": frozenset({"text", "toolUse", "reasoningContent", "cachePoint"}),
    "system": frozenset({"text", "cachePoint"}),
}
"""What a message may hold; a ``cachePoint`` only advises, and prefixes are cached without it."""


def system(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the system message, if there is one."""
    blocks = optional(request, "the body", "system", list) or []
    texts = [text for kind, text in _blocks(blocks, "system", "system") if kind == "text"]
    if texts:
        yield {"role": "system", "content": "\n".join(texts)}


def turns(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the conversation's messages."""
    messages = member(request, "the body", "messages", list)
    for index, each in enumerate(messages):
        where = f"messages[{index}]"
        message = item(each, where)
        keys(message, where, ("role", "content"))
        role = message.get("role")
        if not isinstance(role, str) or role not in _BLOCKS:
            raise invalid(f"{where}.role is {role!r:.80}: allowed are {', '.join(sorted(_BLOCKS))}")
        blocks = _blocks(member(message, where, "content", list), f"{where}.content", role)
        yield from _turn(role, list(blocks), where)


def _blocks(blocks: list[Any], where: str, role: str) -> Iterator[tuple[str, Any]]:
    for index, block in enumerate(blocks):
        kind, value = variant(block, f"{where}[{index}]", _BLOCKS[role])
        if kind == "text" and not isinstance(value, str):
            raise invalid(f"{where}[{index}].text is {value!r:.80}: a string is needed")
        yield kind, value


def _turn(role: str, blocks: list[tuple[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """Yield one message, after a message of its own for each tool's result."""
    for kind, value in blocks:
        if kind == "toolResult":
            yield _tool_result(item(value, f"{where}.content.toolResult"), where)
    texts = [value for kind, value in blocks if kind == "text"]
    calls = [_tool_call(item(value, f"{where}.content.toolUse"), where) for kind, value in blocks if kind == "toolUse"]
    thoughts = [_reasoning(value, where) for kind, value in blocks if kind == "reasoningContent"]
    message: dict[str, Any] = {"role": role, "content": "\n".join(texts) if texts else None}
    message |= {"tool_calls": calls} if calls else {}
    message |= {"reasoning": "\n".join(thoughts)} if thoughts else {}
    if texts or calls or thoughts:
        yield message
    elif not any(kind == "toolResult" for kind, _ in blocks):
        raise invalid(f"{where}.content says nothing: a text, a tool's use or a tool's result is needed")


def _tool_call(use: Mapping[str, Any], where: str) -> dict[str, Any]:
    where = f"{where}.content.toolUse"
    keys(use, where, ("toolUseId", "name", "input"))
    if "input" not in use:
        raise invalid(f"{where}.input is missing: a JSON value is needed")
    function = {"name": member(use, where, "name", str), "arguments": json.dumps(use["input"], separators=(",", ":"))}
    return {"id": member(use, where, "toolUseId", str), "type": "function", "function": function}


def _tool_result(result: Mapping[str, Any], where: str) -> dict[str, Any]:
    where = f"{where}.content.toolResult"
    keys(result, where, ("toolUseId", "content", "status"))
    if result.get("status") not in (None, "success", "error"):
        raise invalid(f"{where}.status is {result['status']!r:.80}: success or error is allowed")
    parts = [_result_text(part, where) for part in member(result, where, "content", list)]
    # a chat completion's tool message has no status, so the model is told in words
    said = ["the tool failed", *parts] if result.get("status") == "error" else parts
    return {"role": "tool", "tool_call_id": member(result, where, "toolUseId", str), "content": "\n".join(said)}


def _result_text(part: object, where: str) -> str:
    kind, value = variant(part, f"{where}.content", ("text", "json"))
    if kind == "json":
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if not isinstance(value, str):
        raise invalid(f"{where}.content.text is {value!r:.80}: a string is needed")
    return value


def _reasoning(content: object, where: str) -> str:
    where = f"{where}.content.reasoningContent"
    text = item(variant(content, where, ("reasoningText",))[1], f"{where}.reasoningText")
    keys(text, f"{where}.reasoningText", ("text", "signature"))
    thought: str = member(text, f"{where}.reasoningText", "text", str)
    return thought
