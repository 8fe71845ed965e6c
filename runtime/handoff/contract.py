"""Name the routes, headers and error codes of the decode endpoint contract, version 1.

No Cerebras endpoint imports KV publicly today: this contract is Tandem's own proposal, served by the CS-3 emulator.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Final

VERSION: Final = "1"

CHAT_COMPLETIONS: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
"""The same for a prompt of text or token ids; by the latter an endpoint goes on with what another one began."""
MODELS: Final = "/v1/models"
HEALTH: Final = "/health"
METRICS: Final = "/metrics"
CAPABILITIES: Final = "/tandem/v1/capabilities"
RESERVATIONS: Final = "/tandem/v1/reservations"
ABORT: Final = "/tandem/v1/abort"
OPENAPI: Final = "/tandem/v1/openapi.json"

DOCUMENT: Final = Path(__file__).with_name("openapi.json")
"""The contract as an OpenAPI document, which ``OPENAPI`` serves."""

RESERVATION_FILL: Final = "reservation_fill"
"""The field of ``CAPABILITIES`` that says which share of the KV memory is reserved now, 0 to 1."""
STREAMING: Final = "streaming"
"""The field of ``CAPABILITIES`` that is ``LAYERS`` where reservations come with a ``stream``, to invite workers by."""
LAYERS: Final = "layers"
SERVER_TIMING: Final = "Server-Timing"
"""Phases in milliseconds, ``handshake;dur=1.2, transfer;dur=3.4``: sent with the headers, before the first token."""
KV_BYTES_HEADER: Final = "X-Tandem-KV-Bytes"
"""Bytes of KV that the answer was decoded from and that crossed the wire."""


class Code(StrEnum):
    """Enumerate the stable error codes; a client may act on them, the message is for people."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHORIZED = "unauthorized"
    MODEL_NOT_FOUND = "model_not_found"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    CAPACITY = "capacity"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    OVERLOADED = "overloaded"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    STOPPING = "stopping"
    RESERVATION_UNKNOWN = "reservation_unknown"
    TICKET_INVALID = "ticket_invalid"
    KV_INCOMPLETE = "kv_incomplete"
    KV_FOREIGN = "kv_foreign"
    KV_LAYOUT = "kv_layout"
    KV_STALE = "kv_stale"
    KV_CORRUPT = "kv_corrupt"
    KV_TRANSFER = "kv_transfer"
    PREFILL_UNAVAILABLE = "prefill_unavailable"
    PREFILL_FAILED = "prefill_failed"
    DECODE_UNAVAILABLE = "decode_unavailable"
    DECODE_FAILED = "decode_failed"


STATUS: Final[dict[Code, int]] = {
    Code.INVALID_REQUEST: 400,
    Code.UNAUTHORIZED: 401,
    Code.MODEL_NOT_FOUND: 404,
    Code.CONTEXT_LENGTH_EXCEEDED: 400,
    Code.CAPACITY: 429,
    Code.RATE_LIMIT_EXCEEDED: 429,
    Code.OVERLOADED: 429,
    Code.DEADLINE_EXCEEDED: 504,
    Code.STOPPING: 503,
    Code.RESERVATION_UNKNOWN: 409,
    Code.TICKET_INVALID: 403,
    Code.KV_INCOMPLETE: 400,
    Code.KV_FOREIGN: 409,
    Code.KV_LAYOUT: 409,
    Code.KV_STALE: 409,
    Code.KV_CORRUPT: 502,
    Code.KV_TRANSFER: 502,
    Code.PREFILL_UNAVAILABLE: 503,
    Code.PREFILL_FAILED: 502,
    Code.DECODE_UNAVAILABLE: 503,
    Code.DECODE_FAILED: 502,
}
"""The HTTP status of each code."""


class Phase(StrEnum):
    """Say how far an import of KV came."""

    ADMISSION = "admission"
    HANDSHAKE = "handshake"
    TRANSFER = "transfer"
    VERIFY = "verify"
    DECODE = "decode"


class HandoffError(Exception):
    """Carry a code and a message to whoever answers the request.

    Where known, also the phase, and in how many seconds it is worth trying again.
    """

    def __init__(self, code: Code, message: str, *, phase: Phase | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.phase = phase
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return STATUS[self.code]

    def body(self) -> dict[str, Any]:
        """Return the error in OpenAI's shape; ``phase`` is ours."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": str(self), "type": kind, "param": None, "code": self.code.value}
        return {"error": error | ({"phase": self.phase.value} if self.phase else {})}
