"""Read OpenAI request bodies as vLLM does, and shape its errors."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec

from runtime.handoff import fields
from runtime.standins.engine.sampling import Sampling

Count = Annotated[int, msgspec.Meta(ge=1)]

_CHANGES_THE_ANSWER: Final = ("stop", "logprobs", "top_logprobs", "logit_bias", "min_tokens", "response_format")
_PENALTIES: Final = ("presence_penalty", "frequency_penalty")


class RequestError(Exception):
    """Carry what vLLM answers a request that it refuses."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    def body(self) -> dict[str, Any]:
        """Return the error in OpenAI's shape, with vLLM's numeric code."""
        return {"error": {"message": str(self), "type": self.kind, "param": None, "code": self.status}}


def bad_request(message: str) -> RequestError:
    """Return the error for a body that cannot be served."""
    return RequestError(400, "BadRequestError", message)


def failed(message: str) -> RequestError:
    """Return the error for a request that was begun, and cannot be answered."""
    return RequestError(500, "InternalServerError", message)


class StreamOptions(msgspec.Struct):
    """Hold OpenAI's ``stream_options``."""

    include_usage: bool | None = None


class Body(msgspec.Struct, kw_only=True):
    """Hold what chat and text completions share; fields that are not named here change nothing and are ignored."""

    model: str | None = None
    max_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    stop: str | list[str] | None = None
    logprobs: Any = None
    top_logprobs: Any = None
    logit_bias: Any = None
    min_tokens: int | None = None
    response_format: Any = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    return_token_ids: bool | None = None
    kv_transfer_params: dict[str, Any] | None = None

    @property
    def is_prefill(self) -> bool:
        """Whether the KV is to be kept for a remote decoder."""
        return bool((self.kv_transfer_params or {}).get(fields.DO_REMOTE_DECODE))

    @property
    def source(self) -> dict[str, Any] | None:
        """Where the prompt's KV is to be read, as its worker told; None where it is computed here."""
        params = self.kv_transfer_params or {}
        return params if params.get(fields.DO_REMOTE_PREFILL) else None

    @property
    def limit(self) -> int | None:
        """The most tokens to answer with, if the caller set one."""
        return self.max_tokens

    def sampling(self) -> Sampling:
        """Return how to choose tokens; vLLM's default temperature is 1."""
        try:
            return Sampling(
                temperature=1.0 if self.temperature is None else self.temperature,
                top_p=1.0 if self.top_p is None else self.top_p,
                seed=self.seed,
            )
        except ValueError as error:
            raise bad_request(str(error)) from error

    def check(self) -> None:
        """Raise ``RequestError`` for what a real vLLM does and this stand-in does not."""
        if self.tools or (self.n or 1) != 1:
            raise bad_request("tools and n > 1 are not supported by this stand-in")
        if self.is_prefill:
            self._check_prefill()
        else:
            self._check_answer()

    def _check_prefill(self) -> None:
        # what shapes the answer is the decoder's business: it is passed on unchanged and ignored here
        if self.stream or self.limit != 1:
            raise bad_request(
                f"do_remote_decode needs max_tokens 1 and stream false, got {self.limit} and {self.stream}"
            )

    def _check_answer(self) -> None:
        refused = [name for name in _CHANGES_THE_ANSWER if getattr(self, name) not in (None, [], {}, False, 0)]
        refused = [name for name in refused if (name, self.response_format) != ("response_format", {"type": "text"})]
        refused += [name for name in _PENALTIES if getattr(self, name)]
        if refused:
            raise bad_request(f"{', '.join(refused)} not supported by this stand-in")


class ChatBody(Body, kw_only=True):
    """Hold the body of ``/v1/chat/completions``."""

    messages: list[dict[str, Any]]
    max_completion_tokens: Count | None = None

    @property
    def limit(self) -> int | None:
        """The most tokens to answer with; the newer name wins, as in vLLM."""
        return self.max_completion_tokens or self.max_tokens


class CompletionBody(Body, kw_only=True):
    """Hold the body of ``/v1/completions``: a prompt as text or as token ids, never several."""

    prompt: str | list[int]
    max_tokens: Count | None = 16
    """What vLLM, as OpenAI, answers with where nothing is said."""


class TokenizeBody(Body, kw_only=True):
    """Hold the body of ``/tokenize``: a prompt of text, or else a chat's messages."""

    prompt: str | None = None
    messages: list[dict[str, Any]] = []


Kind = TypeVar("Kind", bound=Body)


def decode(raw: bytes, kind: type[Kind]) -> Kind:
    """Return a checked body; raise ``RequestError`` where it is not JSON, of wrong types or not supported."""
    try:
        body = msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise bad_request(f"request body is unusable: {error}") from error
    body.check()
    return body
