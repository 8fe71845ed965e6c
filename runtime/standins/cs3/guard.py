"""Let only holders of the key in, and give every refusal OpenAI's error shape."""

from __future__ import annotations

import hmac
import logging

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from runtime.handoff.contract import HEALTH, METRICS, Code, HandoffError

log = logging.getLogger(__name__)

OPEN = frozenset({HEALTH, METRICS})
RETRY_AFTER_SECONDS = 1


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure with ``HandoffError.body()``; aiohttp's own refusals keep their status."""
    try:
        return await handler(request)
    except Exception as failure:  # a defect of ours must not show as aiohttp's HTML page either
        refusal = as_refusal(failure)
        if refusal.code is Code.DECODE_FAILED:
            log.exception("failure of %s %s", request.method, request.path)
        status = failure.status if isinstance(failure, web.HTTPException) else refusal.status
    log.info("refused %s %s status=%d code=%s: %s", request.method, request.path, status, refusal.code.value, refusal)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if refusal.code is Code.CAPACITY else {}
    return web.json_response(refusal.body(), status=status, headers=headers)


def as_refusal(failure: Exception) -> HandoffError:
    """Return what a client is told about any exception."""
    match failure:
        case HandoffError():
            return failure
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(failure.allowed_methods))
            return HandoffError(
                Code.INVALID_REQUEST, f"method {failure.method} is not allowed here, allowed: {allowed}"
            )
        case web.HTTPException():
            return HandoffError(Code.INVALID_REQUEST, f"{failure.reason}: {failure.text}".lower())
        case RecursionError():
            return HandoffError(Code.INVALID_REQUEST, "body is nested too deeply: send flat messages")
    return HandoffError(Code.DECODE_FAILED, "internal error of the decode endpoint")


def bearer(key: str) -> Middleware:
    """Return a middleware that asks for ``Authorization: Bearer <key>`` on all but the open routes."""
    expected = f"Bearer {key}".encode()

    @web.middleware
    async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if request.path not in OPEN and not hmac.compare_digest(given, expected):
            raise HandoffError(Code.UNAUTHORIZED, "a valid key is needed: send Authorization: Bearer <key>")
        return await handler(request)

    return authorize
