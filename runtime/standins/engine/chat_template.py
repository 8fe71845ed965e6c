"""Write OpenAI chat messages as the text that the model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment

ROLES = ("system", "user", "assistant")


class ChatTemplate:
    """Render a Jinja chat template, in a sandbox since it comes with the model file."""

    def __init__(self, source: str) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)  # as transformers does
        self._template = environment.from_string(source)

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Return the prompt's text, ending where the assistant's answer begins; raise ``ValueError`` on a bad shape."""
        if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
            raise ValueError(f"messages is {messages!r}, it must be a list of at least one message")
        turns = [_turn(index, message) for index, message in enumerate(messages)]
        return self._template.render(messages=turns, add_generation_prompt=True)


def _turn(index: int, message: object) -> dict[str, str]:
    where = f"messages[{index}]"
    if not isinstance(message, Mapping):
        raise ValueError(f"{where} is {message!r}, it must be an object with role and content")
    role = message.get("role")
    if role not in ROLES:
        raise ValueError(f"{where}.role is {role!r}, this model knows {', '.join(ROLES)}")
    return {"role": role, "content": _text(f"{where}.content", message.get("content"))}


def _text(where: str, content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ValueError(f"{where} is {content!r}, it must be a string or a list of text parts")
    return "\n".join(_part(f"{where}[{index}]", part) for index, part in enumerate(content))  # as vLLM joins them


def _part(where: str, part: object) -> str:
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise ValueError(f'{where} is {part!r}, this model takes only {{"type": "text", "text": "…"}}')
