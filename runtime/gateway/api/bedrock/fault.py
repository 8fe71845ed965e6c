"""Name each of our error codes as Bedrock Runtime does, so that its clients retry what they should and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime.handoff.contract import Code


@dataclass(frozen=True, slots=True)
class Fault:
    """Hold an exception of Bedrock Runtime's API (botocore's service model of 2023-09-30) and its HTTP status."""

    name: str
    status: int

    @property
    def event(self) -> str:
        """Its name inside an event stream, which begins in lower case."""
        return self.name[0].lower() + self.name[1:]


VALIDATION: Final = Fault("ValidationException", 400)
DENIED: Final = Fault("AccessDeniedException", 403)
UNKNOWN_OPERATION: Final = Fault("UnknownOperationException", 404)
UNKNOWN_CLIENT: Final = Fault("UnrecognizedClientException", 403)
NOT_FOUND: Final = Fault("ResourceNotFoundException", 404)
THROTTLED: Final = Fault("ThrottlingException", 429)
TIMED_OUT: Final = Fault("ModelTimeoutException", 408)
MODEL_ERROR: Final = Fault("ModelErrorException", 424)
UNAVAILABLE: Final = Fault("ServiceUnavailableException", 503)
INTERNAL: Final = Fault("InternalServerException", 500)
MODEL_STREAM: Final = Fault("ModelStreamErrorException", 424)

FAULTS: Final[dict[Code, Fault]] = {
    Code.INVALID_REQUEST: VALIDATION,
    Code.UNAUTHORIZED: UNKNOWN_CLIENT,
    Code.MODEL_NOT_FOUND: NOT_FOUND,
    Code.CONTEXT_LENGTH_EXCEEDED: VALIDATION,
    Code.CAPACITY: THROTTLED,
    Code.RATE_LIMIT_EXCEEDED: THROTTLED,
    Code.OVERLOADED: THROTTLED,
    Code.DEADLINE_EXCEEDED: TIMED_OUT,
    Code.STOPPING: UNAVAILABLE,
    # the peers disagree, through no fault of the client's; another attempt takes another handoff
    Code.RESERVATION_UNKNOWN: UNAVAILABLE,
    Code.TICKET_INVALID: INTERNAL,
    Code.KV_INCOMPLETE: INTERNAL,
    Code.KV_CORRUPT: UNAVAILABLE,
    Code.KV_FOREIGN: UNAVAILABLE,
    Code.KV_LAYOUT: INTERNAL,
    Code.KV_STALE: UNAVAILABLE,
    Code.KV_TRANSFER: UNAVAILABLE,
    Code.PREFILL_UNAVAILABLE: UNAVAILABLE,
    Code.PREFILL_FAILED: MODEL_ERROR,
    Code.DECODE_UNAVAILABLE: UNAVAILABLE,
    Code.DECODE_FAILED: MODEL_ERROR,
}
"""botocore retries 500, 503 and throttling by itself, but not ``ModelErrorException``."""


def of_router(status: int) -> Fault:
    """Return the exception for a path, method or size that is refused."""
    return Fault(UNKNOWN_OPERATION.name, status) if status in (404, 405) else VALIDATION


def by_status(status: int) -> Fault:
    """Return the exception for a peer's error that has no code of ours."""
    for fault in (VALIDATION, DENIED, NOT_FOUND, THROTTLED, MODEL_ERROR, UNAVAILABLE):
        if fault.status == status:
            return fault
    return VALIDATION if 400 <= status < 500 else INTERNAL
