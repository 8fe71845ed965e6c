"""Read the body of a completion, and refuse what the emulator cannot do as asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from runtime.handoff import fields, parameters
from runtime.handoff.contract import Code, HandoffError
from runtime.standins.engine.sampling import Sampling

_DONE: Final = frozenset({"presence_penalty", "frequency_penalty"})
_DONE_IN_CHATS: Final = frozenset({"logprobs", "top_logprobs"})
_JSON_OBJECT: Final = {"type": "json_object"}
_NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = {
    **{name: value for name, value in parameters.NEUTRAL.items() if name not in _DONE},
    "logit_bias": ({},),
}
"""What the emulator cannot do otherwise; in chats it can do some more."""
_NEUTRAL_IN_CHATS: Final[Mapping[str, tuple[Any, ...]]] = {
    **{name: value for name, value in _NEUTRAL.items() if name not in _DONE_IN_CHATS},
    "response_format": (*_NEUTRAL["response_format"], _JSON_OBJECT),
}

_READ: Final = frozenset(
    {"model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop"}
    | {"stream", "stream_options", "return_token_ids", fields.RECEIVED, fields.KV_TRANSFER_PARAMS}
    | _DONE
)

_STOPS: Final = 4  # OpenAI's limit
_TOP_LOGPROBS: Final = 20  # OpenAI's limit


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """Hold what one completion asks for; ``max_tokens`` is None where the caller left it open.

    Either ``messages`` are given, or a ``prompt``, of text or token ids. ``received`` is what there is of the answer.
    """

    model: str
    messages: list[Any]
    max_tokens: int | None
    sampling: Sampling
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool
    return_token_ids: bool
    kv_transfer_params: object
    prompt: str | list[int] | None = None
    received: Sequence[int] = ()
    top_logprobs: int | None = None
    """How many alternatives each token is told with; None where no probabilities are."""

    @property
    def left(self) -> int | None:
        """How many tokens the answer may have besides what is received, as far as the caller says."""
        return None if self.max_tokens is None else max(0, self.max_tokens - len(self.received))

    @classmethod
    def from_body(cls, body: Mapping[str, Any], *, chat: bool = True) -> Self:
        """Read an OpenAI body; raise ``HandoffError`` (``invalid_request``) on what is malformed or unsupported.

        As in OpenAI's API, null is the same as absent, and the temperature is 1 if nothing is said.
        """
        given = {name: value for name, value in body.items() if value is not None}
        if chat:
            _check_supported(given, _NEUTRAL_IN_CHATS, _READ | _DONE_IN_CHATS)
        else:
            _check_supported(given, _NEUTRAL, _READ)
        limits = [count(given, name) for name in ("max_completion_tokens", "max_tokens") if name in given]
        options = _typed(given, "stream_options", dict, {})
        return cls(
            model=text(given, "model"),
            messages=_typed(given, "messages", list) if chat else [],
            prompt=None if chat else _prompt(given),
            max_tokens=limits[0] if limits else None,
            sampling=_sampling(given),
            stop=_stop(given.get("stop", [])),
            stream=_typed(given, "stream", bool, False),
            include_usage=_typed(options, "include_usage", bool, False),
            return_token_ids=_typed(given, "return_token_ids", bool, False),
            kv_transfer_params=given.get(fields.KV_TRANSFER_PARAMS),
            received=_ids(given, fields.RECEIVED) if fields.RECEIVED in given else (),
            top_logprobs=_top_logprobs(given) if chat else None,
        )


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in a request's body; raise ``HandoffError`` (``invalid_request``) if it is none."""
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise invalid(f"body is not JSON ({error}): send a JSON object") from error
    if not isinstance(body, dict):
        raise invalid(f"body is a JSON {type(body).__name__}: send a JSON object")
    return body


def text(body: Mapping[str, Any], name: str) -> str:
    """Return a field that must be a string with something in it."""
    value: str = _typed(body, name, str)
    if not value:
        raise invalid(f"{name} is empty: give a string")
    return value


def count(body: Mapping[str, Any], name: str, *, least: int = 1) -> int:
    """Return a field that must be a whole number, ``least`` or more."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise invalid(f"{name} is {_shown(value)}, it must be a whole number of {least} or more")
    return value


def invalid(message: str) -> HandoffError:
    """Return the refusal of a malformed or unsupported request."""
    return HandoffError(Code.INVALID_REQUEST, message)


def _check_supported(given: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], read: frozenset[str]) -> None:
    for name, value in given.items():
        if name in neutral and not parameters.among(value, neutral[name]):
            allowed = " or ".join(json.dumps(one) for one in neutral[name])
            raise invalid(f"{name} is {_shown(value)}, this endpoint supports only {allowed}: leave it out")
        if name not in neutral and name not in parameters.WITHOUT_EFFECT | read:
            raise invalid(f"parameter {_shown(name)} is not supported by this endpoint: leave it out")


def _prompt(given: Mapping[str, Any]) -> str | list[int]:
    prompt = _typed(given, "prompt", (str, list))
    if isinstance(prompt, str):
        return text(given, "prompt")
    return _ids(given, "prompt")


def _ids(given: Mapping[str, Any], name: str) -> list[int]:
    ids: list[int] = _typed(given, name, list)
    if not ids or not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in ids):
        raise invalid(f"{name} is {_shown(ids)}, a list of token ids is needed")
    return ids


def _top_logprobs(given: Mapping[str, Any]) -> int | None:
    top = count(given, "top_logprobs", least=0) if "top_logprobs" in given else 0
    if top > _TOP_LOGPROBS:
        raise invalid(f"top_logprobs is {top}, allowed are {_TOP_LOGPROBS}")
    return top if _typed(given, "logprobs", bool, False) else None


def _sampling(given: Mapping[str, Any]) -> Sampling:
    seed = given.get("seed")
    if seed is not None and not isinstance(seed, int):
        raise invalid(f"seed is {_shown(seed)}, it must be a whole number")
    given_or = {"temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    numbers = {name: _typed(given, name, (int, float), default) for name, default in given_or.items()}
    try:
        return Sampling(**numbers, seed=seed, json_object=given.get("response_format") == _JSON_OBJECT)
    except ValueError as error:
        raise invalid(str(error)) from error


def _stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise invalid(f"stop is {_shown(value)}, allowed is a string or a list of strings, none of them empty")
    if len(stops) > _STOPS:
        raise invalid(f"stop has {len(stops)} strings, allowed are {_STOPS}")
    return tuple(stops)


def _typed(body: Mapping[str, Any], name: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    value = body.get(name, default)
    if not isinstance(value, kind):
        names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise invalid(f"{name} is {_shown(value)}, it must be {names}")
    return value


def _shown(value: object) -> str:
    return repr(value)[:80]
