"""Ask for the rest of an answer: the prompt's token ids, those that the client has the text of, and no more than fit.

Text would not do: what a model wrote, cut anywhere and tokenized again, may be other tokens, and go on otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from runtime.gateway.continuation.progress import Progress
from runtime.gateway.request.chat import Chat
from runtime.handoff import contract, parameters

_SAME: Final = frozenset(
    {"model", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "stop_token_ids", "ignore_eos", "logit_bias"}
    | {"allowed_token_ids", "repetition_penalty"}
)
"""Fields that mean the same in ``/v1/completions``.

Of penalties one: vLLM counts prompt and answer alike for it, for the others the answer alone (SamplingParams).
"""
_REPLACED: Final = frozenset(
    {"messages", "max_tokens", "max_completion_tokens", "min_tokens", "stream", "stream_options"}
    | {"chat_template_kwargs"}  # which are in the prompt's tokens
)
_ALLOWED: Final = _SAME | _REPLACED | parameters.WITHOUT_EFFECT | {"return_token_ids"}
"""Fields at whose every value an answer can be continued; of others only where there is nothing to honour."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Hold a prompt's token ids, and how many tokens the context holds with the answer."""

    ids: list[int]
    max_model_len: int


def resumable(body: Mapping[str, Any]) -> bool:
    """Tell whether an answer to this chat could be continued: every field of the body must be known to allow it."""
    return body.get("stream") is True and all(
        value is None or name in _ALLOWED or value in parameters.NEUTRAL.get(name, ()) for name, value in body.items()
    )


def rest(chat: Chat, progress: Progress, prompt: Tokenized, limit: int) -> Chat | None:
    """Return the request for what is missing of an answer of at most ``limit`` tokens; None where nothing is.

    Where no text came yet, that is the request itself.
    """
    left = limit - len(progress.ids)
    if progress.finish_reason or left < 1:
        return None
    if not progress.ids:
        return chat
    ids = prompt.ids + progress.ids
    body = {
        **{name: value for name, value in chat.body.items() if name in _SAME},
        "prompt": ids,
        "max_tokens": left,
        "stream": True,
    }
    if isinstance(least := chat.body.get("min_tokens"), int):
        body["min_tokens"] = max(0, least - len(progress.ids))
    if chat.body.get("stream_options") is not None:
        body["stream_options"] = chat.body["stream_options"]
    return replace(chat, path=contract.COMPLETIONS, body=body, max_tokens=left, prompt_tokens=len(ids))


def asked_for_usage(chat: Chat) -> bool:
    """Tell whether the client wants the usage at the stream's end."""
    options = chat.body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True
