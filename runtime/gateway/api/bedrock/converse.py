"""Read a Converse request as an OpenAI chat completion; what has no counterpart is refused, never dropped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from runtime.gateway.api.bedrock.check import invalid, item, keys, member, optional, variant
from runtime.gateway.api.bedrock.messages import system, turns
from runtime.gateway.api.bedrock.tools import tools

_READ: Final = frozenset(
    {"messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields", "outputConfig"}
)
_WITHOUT_EFFECT: Final = frozenset({"requestMetadata"})
"""Written to Bedrock's invocation log, which is not kept here."""
_STANDARD: Final[Mapping[str, object]] = {
    "performanceConfig": {"latency": "standard"},
    "serviceTier": {"type": "default"},
}
_SAMPLING: Final = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}
_DERIVED: Final = frozenset({"model", "messages", "stream", "stream_options", "tools", "n", *_SAMPLING.values()})
"""Fields of the chat that Converse has its own words for."""


def chat_body(request: Mapping[str, Any], *, model: str, stream: bool) -> dict[str, Any]:
    """Return the chat completion that a Converse body asks for; raise ``HandoffError`` (``invalid_request``)."""
    _refuse_unsupported(request)
    more = optional(request, "the body", "additionalModelRequestFields", dict) or {}
    taken = sorted(_DERIVED & more.keys())
    if taken:
        raise invalid(f"additionalModelRequestFields has {', '.join(taken)}: use Converse's own members instead")
    messages = [*system(request), *turns(request)]
    if not any(message["role"] == "user" for message in messages):
        raise invalid("messages has no user message: a conversation needs one")
    body = {**more, "model": model, "messages": messages, **_sampling(request), **tools(request), **_output(request)}
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


def _refuse_unsupported(request: Mapping[str, Any]) -> None:
    keys(request, "the body", _READ | _WITHOUT_EFFECT | _STANDARD.keys())
    for name, standard in _STANDARD.items():
        if request.get(name) not in (None, standard):
            raise invalid(f"{name} is {request[name]!r:.80}: only {json.dumps(standard)} is served here")


def _sampling(request: Mapping[str, Any]) -> dict[str, Any]:
    config = optional(request, "the body", "inferenceConfig", dict) or {}
    keys(config, "inferenceConfig", _SAMPLING)
    return {_SAMPLING[name]: value for name, value in config.items() if value is not None}


def _output(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what asks for JSON of a schema, or for more or less reasoning."""
    config = optional(request, "the body", "outputConfig", dict) or {}
    keys(config, "outputConfig", ("textFormat", "effort"))
    effort = optional(config, "outputConfig", "effort", str)
    found: dict[str, Any] = {"reasoning_effort": effort} if effort else {}
    text = optional(config, "outputConfig", "textFormat", dict)
    return found | ({"response_format": _json_schema(text)} if text else {})


def _json_schema(text: Mapping[str, Any]) -> dict[str, Any]:
    where = "outputConfig.textFormat"
    if text.get("type") != "json_schema":
        raise invalid(f"{where}.type is {text.get('type')!r:.80}: json_schema is needed")
    structure = member(text, where, "structure", dict)
    asked = item(variant(structure, f"{where}.structure", ("jsonSchema",))[1], f"{where}.structure.jsonSchema")
    keys(asked, f"{where}.structure.jsonSchema", ("schema", "name", "description"))
    try:
        schema = json.loads(member(asked, f"{where}.structure.jsonSchema", "schema", str))
    except ValueError as error:
        raise invalid(f"{where}.structure.jsonSchema.schema is not JSON: {error}") from error
    named = {name: asked[name] for name in ("name", "description") if asked.get(name)}
    return {"type": "json_schema", "json_schema": {"name": "answer", **named, "schema": schema}}
