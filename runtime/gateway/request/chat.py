"""Read a client's request for a completion, of a chat or of a text, and derive what each peer is sent; all pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, Final

import msgspec

from runtime.gateway.routing.deadline import NEVER, Deadline
from runtime.handoff import contract, fields
from runtime.handoff.contract import Code, HandoffError

BYTES_PER_TOKEN: Final = 2
"""Bytes of JSON taken for one prompt token where nothing counts tokens.

Byte-pair vocabularies give 3 to 5 bytes a token for English and code, 2 to 3 for most other scripts, so this reserves
too much rather than too little. The endpoint counts for itself before it decodes.
"""
DEFAULT_MAX_TOKENS: Final = 1024
"""Answer tokens reserved where the client sets no limit; half the context where that is less."""

_HANDOFF_FIELDS: Final = frozenset({fields.KV_TRANSFER_PARAMS, fields.TANDEM, "request_id"})
_NESTED: Final = frozenset({"extra_body", "extra_args", "vllm_xargs"})
"""Objects of a body that vLLM, or a client library, merges into its parameters."""
_OPTIONAL_BOOL: Final = (bool, NoneType)
_OPTIONAL_OBJECT: Final = (dict, NoneType)
_LONG: Final = ("messages", "tools")
_NOT_FOR_PREFILL: Final = frozenset({"stream_options", "min_tokens", "echo", "return_token_ids"})


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """Hold one request: ``body`` is the client's without handoff fields, ``request_id`` is the gateway's own.

    Once the prompt is counted, messages and tools in the body are JSON already (``msgspec.Raw``).
    """

    request_id: str
    tenant: str
    body: Mapping[str, Any]
    max_tokens: int
    prompt_tokens: int
    """What reservation, admission and the choice of a worker take the prompt for: all the room, until it is counted."""
    max_model_len: int
    """How many tokens the context holds, prompt and answer together."""
    path: str = contract.CHAT_COMPLETIONS
    """Where peers are asked."""
    received: Sequence[int] = ()
    """The ids of an answer's tokens that the client has the text of: what follows them is asked for."""
    of_text: bool = True
    """Whether token ids are all that the prompt consists of: an image, say, is more than its place among them."""
    prefilled: Sequence[int] = ()
    """What a worker prefills in place of the body's own prompt: token ids."""
    deadline: Deadline = NEVER

    @property
    def tokens(self) -> int:
        """How many tokens the request may take in all, by which tenants are metered."""
        return self.prompt_tokens + self.max_tokens


def parse(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; raise ``HandoffError`` (``invalid_request``) where it is none."""
    try:
        body = _DECODER.decode(raw)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the body is not JSON: {type(error).__name__}: {error}"[:300]) from error
    if not isinstance(body, dict):
        raise _invalid(f"the body is a JSON {type(body).__name__}, an object is needed")
    return body


def read(
    given: Mapping[str, Any],
    *,
    request_id: str,
    tenant: str,
    model: str,
    max_model_len: int,
    path: str = contract.CHAT_COMPLETIONS,
    deadline: Deadline = NEVER,
) -> Chat:
    """Check and strip a request's body.

    Raise ``HandoffError``: ``invalid_request``, ``model_not_found``, or ``context_length_exceeded`` where the answer
    alone would fill the context.
    """
    body = stripped(given)
    _check_types(body)
    _CHECKS[path](body)
    received = _received(body.pop(fields.RECEIVED, None))
    if body["model"] != model:
        raise HandoffError(Code.MODEL_NOT_FOUND, f"model is {body['model'][:200]!r}, served here is {model!r}")
    max_tokens = asked_tokens(body) or min(DEFAULT_MAX_TOKENS, max_model_len // 2)
    room = max_model_len - max_tokens
    if room < 1:
        message = f"max_tokens is {max_tokens}, the context holds {max_model_len} with the prompt: lower it"
        raise HandoffError(Code.CONTEXT_LENGTH_EXCEEDED, message)
    return Chat(
        request_id=request_id,
        tenant=tenant,
        body=body,
        max_tokens=max_tokens,
        prompt_tokens=room,
        max_model_len=max_model_len,
        path=path,
        received=received,
        of_text=_of_text(body.get("messages", ())),
        deadline=deadline,
    )


def fitted(chat: Chat, counted: int, most: int | None) -> Chat:
    """Return the request with its prompt counted; raise ``HandoffError`` (``context_length_exceeded``) beyond ``most``.

    What is counted must not make the endpoint refuse what fits, so it never exceeds what the answer leaves.
    """
    if most is not None and counted > most:
        message = f"the prompt takes about {counted} tokens, allowed here are {most}: shorten it"
        raise HandoffError(Code.CONTEXT_LENGTH_EXCEEDED, message)
    return msgspec.structs.replace(chat, body=_encoded(chat.body), prompt_tokens=min(chat.prompt_tokens, counted))


def asked_tokens(body: Mapping[str, Any]) -> int | None:
    """Return the limit that a client sets to its answer, None where it sets none; the newer name wins."""
    newer = body.get("max_completion_tokens") if "messages" in body else None  # completions of text do not know it
    asked: int | None = newer or body.get("max_tokens")
    return asked


def stripped(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``body`` without the fields by which a caller could point a peer at KV, or choose a peer's request id."""
    return {
        name: stripped(value) if name in _NESTED and isinstance(value, dict) else value
        for name, value in body.items()
        if name not in _HANDOFF_FIELDS
    }


def estimate_tokens(body: Mapping[str, Any], path: str = contract.CHAT_COMPLETIONS) -> int:
    """Return about how many tokens a prompt of text takes, rather too many than too few."""
    prompt = body["prompt"] if path == contract.COMPLETIONS else [body["messages"], body.get("tools")]
    return math.ceil(len(msgspec.json.encode(prompt)) / BYTES_PER_TOKEN)


def token_ids(body: Mapping[str, Any], path: str) -> Sequence[int] | None:
    """Return the ids that a prompt consists of; None where it is text."""
    return body["prompt"] if path == contract.COMPLETIONS and isinstance(body["prompt"], list) else None


def to_prefill(chat: Chat) -> tuple[str, Mapping[str, Any]]:
    """Return the path and body by which a worker is given the prompt."""
    if not chat.prefilled:
        return chat.path, chat.body
    return contract.COMPLETIONS, {"model": chat.body["model"], "prompt": chat.prefilled, "temperature": 0}


def for_prefill(body: Mapping[str, Any], stream: object = None) -> dict[str, Any]:
    """Return the body for a prefill worker: one token, no stream, and KV kept for a reader.

    ``stream`` is a decode endpoint's invitation to offer it KV before that; a stock vLLM ignores it.
    """
    invited = {fields.TANDEM: {fields.STREAM: stream}} if stream else {}
    return {
        **{name: value for name, value in body.items() if name not in _NOT_FOR_PREFILL},
        "stream": False,
        "max_tokens": 1,
        **({"max_completion_tokens": 1} if "messages" in body else {}),  # completions of text do not know it
        fields.KV_TRANSFER_PARAMS: {**fields.PREFILL_REQUEST, **invited},
    }


def with_kv(body: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body for a decode peer that imports KV."""
    return {**body, fields.KV_TRANSFER_PARAMS: dict(params)}


def renamed(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the body with the model under the name that a peer knows it by."""
    return {**body, "model": model}


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a body's wire form."""
    return msgspec.json.encode(body)


def require_single_answer(chat: Chat) -> None:
    """Raise ``HandoffError`` where several answers are asked for: KV is handed to one reader only."""
    for name in ("n", "best_of"):
        if chat.body.get(name) not in (None, 1):
            found = f"{chat.body[name]!r:.80}"
            raise _invalid(f"{name} is {found}: only one answer a request is possible, send several requests")


def _encoded(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with what may be long in its wire form, since it is hashed, and sent to each peer."""
    return {
        name: msgspec.Raw(msgspec.json.encode(value)) if value and name in _LONG else value
        for name, value in body.items()
    }


def _finite(text: str) -> float | int:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"number {text[:40]} is out of range")
    # to JSON 7.0 is a whole number like 7, and peers that are strict take the latter alone
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


_DECODER: Final = msgspec.json.Decoder(float_hook=_finite)


def _check_types(body: Mapping[str, Any]) -> None:
    if not isinstance(body.get("model"), str):
        raise _invalid(f"model is {body.get('model')!r:.80}: a string is needed")
    if not isinstance(body.get("stream"), _OPTIONAL_BOOL):
        raise _invalid(f"stream is {body['stream']!r:.80}: true or false is needed")
    if not isinstance(body.get("stream_options"), _OPTIONAL_OBJECT):
        raise _invalid(f"stream_options is {body['stream_options']!r:.80}: an object is needed")
    for name in ("max_tokens", "max_completion_tokens"):
        if (count := body.get(name)) is not None:
            _check_count(name, count)
    if (stop := body.get("stop")) is not None:
        _check_stop(stop)


def _check_stop(stop: object) -> None:
    texts = stop if isinstance(stop, list) else [stop]
    if not all(isinstance(text, str) for text in texts):
        raise _invalid(f"stop is {stop!r:.80}: a text or a list of texts is needed")


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages is missing, empty or no list: a list of messages is needed")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _invalid(f"messages[{index}] is no object with a role")


def _check_prompt(body: dict[str, Any]) -> None:
    """Require one prompt, of text or token ids; OpenAI's list of prompts may hold just one."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        [prompt] = prompt
    if not (isinstance(prompt, str) and prompt) and not _are_token_ids(prompt):
        raise _invalid("prompt is missing, empty or several: one text, or one list of token ids, is needed")
    body["prompt"] = prompt


def _of_text(messages: Sequence[Mapping[str, Any]]) -> bool:
    return all(
        isinstance(part, dict) and part.get("type") == "text"
        for message in messages
        if isinstance(content := message.get("content"), list)
        for part in content
    )


def _received(given: Any) -> Sequence[int]:
    if given is None or given == []:
        return ()
    if not _are_token_ids(given):
        raise _invalid(f"{fields.RECEIVED} is {given!r:.80}: the list of token ids that came is needed")
    return tuple(given)


def _are_token_ids(prompt: object) -> bool:
    return isinstance(prompt, list) and bool(prompt) and all(type(one) is int and 0 <= one < 2**31 for one in prompt)


_CHECKS: Final[Mapping[str, Callable[[dict[str, Any]], None]]] = {
    contract.CHAT_COMPLETIONS: _check_messages,
    contract.COMPLETIONS: _check_prompt,
}


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _invalid(f"{name} is {value!r:.80}: a whole number of at least 1 is needed")


def _invalid(message: str) -> HandoffError:
    return HandoffError(Code.INVALID_REQUEST, message)
