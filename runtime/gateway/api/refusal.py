"""Say no in the words of the API that was called: OpenAI's, or Bedrock Runtime's below ``/model/``."""

from __future__ import annotations

from typing import Final

from runtime.gateway.api.bedrock import fault
from runtime.gateway.api.bedrock.fault import Fault
from runtime.gateway.http.client_connection import HEAD_SECONDS
from runtime.gateway.http.message import Answer, HttpError, json_answer
from runtime.gateway.peers.upstream import PeerError
from runtime.gateway.telemetry import log
from runtime.handoff.contract import Code, HandoffError

BEDROCK: Final = "/model/"
"""Where the paths of Bedrock Runtime's operations begin."""
BEDROCK_REQUEST_ID: Final = "x-amzn-RequestId"
"""Where AWS's clients look for the request's id."""
_NO_HTTP: Final = "the request is not HTTP as it must be"
_ERROR_TYPE: Final = "x-amzn-ErrorType"


def refused(path: str, error: HandoffError, status: int) -> Answer:
    """Return the answer for an error of ours; ``status`` is the HTTP status where the API leaves it to us."""
    if path.startswith(BEDROCK):
        answer = _exception(fault.INTERNAL if status == 500 else fault.FAULTS[error.code], str(error))
    else:
        answer = json_answer(error.body(), status=status)
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def passed_on(path: str, error: PeerError) -> Answer:
    """Return the answer for a peer's own error."""
    if path.startswith(BEDROCK):
        ours = {code.value: named for code, named in fault.FAULTS.items()}
        named = ours.get(str(error.code)) or fault.by_status(error.status)
        answer = _exception(named, error.message)
    else:
        answer = Answer(error.body, error.status, {"Content-Type": "application/json"})
    if error.retry_after:
        answer.headers["Retry-After"] = error.retry_after
    return answer


def by_router(path: str, method: str, error: HttpError) -> Answer:
    """Return the answer for a path, method or size that is refused."""
    message = f"{method} {path[:200]}: {error.reason}"
    if path.startswith(BEDROCK):
        answer = _exception(fault.of_router(error.status), message)
    else:
        answer = refused(path, HandoffError(Code.INVALID_REQUEST, message), error.status)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def unreadable(status: int, kind: str) -> Answer:
    """Return the answer to what is no HTTP, or came too slowly; nothing of it is quoted or logged."""
    log.write("unreadable", status=status, kind=kind)
    said = f"the headers did not arrive within {HEAD_SECONDS:g} s" if status == 408 else f"{_NO_HTTP}: {kind}"
    return refused("/", HandoffError(Code.INVALID_REQUEST, said), status)


def _exception(named: Fault, message: str) -> Answer:
    return json_answer({"message": message}, status=named.status, headers={_ERROR_TYPE: named.name})
