"""Say which text of a request becomes its prompt, and what a chat template adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from runtime.handoff import contract

MESSAGE_TOKENS: Final = 8
"""What a template writes around each message: five tokens in ChatML and Llama 3, four in Harmony, and a role's name."""
TEMPLATE_TOKENS: Final = 96
"""What it writes once: a system message of its own (some 30 tokens in Llama 3 and Qwen 2.5, 70 in Harmony), and the
beginning of the answer."""
TOOLS_TOKENS: Final = 256
"""What it writes about tools in general, some 150 tokens in Qwen 2.5."""
SPECIAL_TOKENS: Final = 2
"""What stands before and after the prompt of a completion at most."""
_APART: Final = ("role", "content")


class Text(msgspec.Struct, frozen=True):
    """Hold a prompt's text, and ``around``: as many tokens as are added to it at most, as far as is known."""

    text: str
    around: int


def text_of(body: Mapping[str, Any], path: str) -> Text:
    """Return the text of a checked body whose prompt is no list of token ids.

    What is structured, as calls of tools, is taken as indented JSON: of the forms that templates write, the longest.
    """
    if path == contract.COMPLETIONS:
        return Text(body["prompt"], SPECIAL_TOKENS)
    messages: Sequence[Mapping[str, Any]] = body["messages"]
    parts = [part for message in messages for part in _parts(message)]
    around = TEMPLATE_TOKENS + MESSAGE_TOKENS * len(messages)
    if tools := body.get("tools"):
        parts.append(_json(tools))
        around += TOOLS_TOKENS
    return Text("\n".join(parts), around)


def _parts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    pieces = content if isinstance(content, list) else [content]
    parts = [text if isinstance(text := _text(piece), str) else _json(piece) for piece in pieces if piece is not None]
    if len(message) > len(_APART):
        parts.append(_json({name: value for name, value in message.items() if name not in _APART}))
    return parts


def _text(piece: object) -> object:
    return piece["text"] if isinstance(piece, dict) and piece.keys() == {"type", "text"} else piece


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=4).decode()
