"""Turn Converse's tools into those of a chat completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.gateway.api.bedrock.check import item, keys, member, optional, variant


def tools(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``tools`` and ``tool_choice``, or nothing."""
    config = optional(request, "the body", "toolConfig", dict)
    if config is None:
        return {}
    keys(config, "toolConfig", ("tools", "toolChoice"))
    found = []
    for index, tool in enumerate(member(config, "toolConfig", "tools", list)):
        kind, value = variant(tool, f"toolConfig.tools[{index}]", ("toolSpec", "cachePoint"))
        if kind == "toolSpec":
            where = f"toolConfig.tools[{index}].toolSpec"
            found.append({"type": "function", "function": _function(item(value, where), where)})
    choice = optional(config, "toolConfig", "toolChoice", dict)
    return {"tools": found} | ({"tool_choice": _choice(choice)} if choice else {})


def _function(spec: Mapping[str, Any], where: str) -> dict[str, Any]:
    keys(spec, where, ("name", "description", "inputSchema", "strict"))
    schema = variant(member(spec, where, "inputSchema", dict), f"{where}.inputSchema", ("json",))[1]
    function = {"name": member(spec, where, "name", str), "parameters": item(schema, f"{where}.inputSchema.json")}
    described = optional(spec, where, "description", str)
    strict = optional(spec, where, "strict", bool)
    function |= {"description": described} if described else {}
    return function | ({} if strict is None else {"strict": strict})


def _choice(choice: Mapping[str, Any]) -> str | dict[str, Any]:
    where = "toolConfig.toolChoice"
    kind, value = variant(choice, where, ("auto", "any", "tool"))
    if kind == "tool":
        name = member(item(value, f"{where}.tool"), f"{where}.tool", "name", str)
        return {"type": "function", "function": {"name": name}}
    return {"auto": "auto", "any": "required"}[kind]
