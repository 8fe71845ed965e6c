"""Ask for the rest of an answer: the prompt's token ids, those that the client has the text of, and no more than fit.

Text would not do: what a model wrote, cut anywhere and tokenized again, may be other tokens, and go on otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from runtime.gateway.continuation.progress import Progress
from runtime.gateway.request.chat import Chat
from runtime.handoff import contract, fields, parameters

_SAME: Final = frozenset(
    {"model", "temperature", "top_p", "top_k", "min_p", "seed", "stop_token_ids", "ignore_eos", "logit_bias"}
    | {"allowed_token_ids", "repetition_penalty"}
)
"""Fields that mean the same in ``/v1/completions``.

Of penalties one: vLLM counts prompt and answer alike for it, for the others the answer alone (SamplingParams).
"""
_REPLACED: Final = frozenset(
    {"messages", "prompt", "max_tokens", "max_completion_tokens", "min_tokens", "stream", "stream_options"}
    | {"chat_template_kwargs"}  # which are in the prompt's tokens
)
_NEUTRAL: Final = {**parameters.NEUTRAL, "stop": ([], "")}
"""With stop strings vLLM tells ids ahead of the text that it holds back."""
AS_PROMPT: Final = _SAME | _REPLACED | parameters.WITHOUT_EFFECT | {"return_token_ids"}
"""Fields at whose every value an answer is continued as a longer prompt; of others where there is nothing to honour."""
TAKEN_UP: Final = AS_PROMPT | {
    *("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "stop", "response_format"),
    *("tools", "tool_choice", "include_reasoning"),
}
"""The same for an answer that is taken up. What is not known might change the prompt, and a worker tokenize another."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Hold a prompt's token ids, and how many tokens the context holds with the answer."""

    ids: list[int]
    max_model_len: int


def hindrances(chat: Chat, allowed: frozenset[str]) -> list[str]:
    """Return the fields that are not known to allow that an answer is continued."""
    missing = [] if chat.body.get("stream") is True else ["stream"]
    if not chat.of_text:
        missing.append("messages")
    return missing + [
        name
        for name, value in chat.body.items()
        if value is not None and name not in allowed and not parameters.among(value, _NEUTRAL.get(name, ()))
    ]


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
    return msgspec.structs.replace(chat, path=contract.COMPLETIONS, body=body, max_tokens=left, prompt_tokens=len(ids))


def again(chat: Chat, progress: Progress, prompt: Tokenized, limit: int) -> Chat | None:
    """Return the same request with its answer so far, for an endpoint that takes it up; None where it said its end.

    Limits stay those of the whole answer. One that came to its limit is still asked for: what was held back of its
    text, and the reason why it ended, only the endpoint knows.
    """
    if progress.finish_reason:
        return None
    if not progress.ids:
        return chat
    prefilled = [*prompt.ids, *progress.ids]
    left = max(1, limit - len(progress.ids))
    whole = {name: value for name, value in chat.body.items() if name != "max_completion_tokens"}
    body = {**whole, "max_tokens": limit, fields.RECEIVED: list(progress.ids)}
    reserved = min(len(prefilled), prompt.max_model_len - left)
    return msgspec.structs.replace(chat, body=body, prefilled=prefilled, max_tokens=left, prompt_tokens=reserved)


def asked_for_usage(chat: Chat) -> bool:
    """Tell whether the client wants the usage at the stream's end."""
    options = chat.body.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True
