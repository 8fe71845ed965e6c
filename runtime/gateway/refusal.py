"""Say no in the words of the API that was called: OpenAI's, or Bedrock Runtime's below ``/model/``."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from runtime.gateway.bedrock import fault
from runtime.gateway.bedrock.fault import Fault
from runtime.gateway.upstream import PeerError
from runtime.handoff.contract import Code, HandoffError

BEDROCK: Final = "/model/"
"""Where the paths of Bedrock Runtime's operations begin."""
BEDROCK_REQUEST_ID: Final = "x-amzn-RequestId"
"""Where AWS's clients look for the request's id."""
_ERROR_TYPE: Final = "x-amzn-ErrorType"


def refused(path: str, error: HandoffError, status: int) -> web.Response:
    """Return the answer for an error of ours; ``status`` is the HTTP status where the API leaves it to us."""
    if path.startswith(BEDROCK):
        answer = _exception(fault.INTERNAL if status == 500 else fault.FAULTS[error.code], str(error))
    else:
        answer = web.json_response(error.body(), status=status)
        if status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def passed_on(path: str, error: PeerError) -> web.Response:
    """Return the answer for a peer's own error."""
    if path.startswith(BEDROCK):
        ours = {code.value: named for code, named in fault.FAULTS.items()}
        named = ours.get(str(error.code)) or fault.by_status(error.status)
        answer = _exception(named, error.message)
    else:
        answer = web.Response(body=error.body, status=error.status, content_type="application/json")
    if error.retry_after:
        answer.headers["Retry-After"] = error.retry_after
    return answer


def by_router(path: str, method: str, error: web.HTTPException) -> web.Response:
    """Return the answer for a path, method or size that aiohttp refuses."""
    message = f"{method} {path[:200]}: {error.reason}"
    if path.startswith(BEDROCK):
        answer = _exception(fault.of_router(error.status), message)
    else:
        answer = refused(path, HandoffError(Code.INVALID_REQUEST, message), error.status)
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def _exception(named: Fault, message: str) -> web.Response:
    return web.json_response({"message": message}, status=named.status, headers={_ERROR_TYPE: named.name})
