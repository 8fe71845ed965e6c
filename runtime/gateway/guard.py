"""Stand before every route: give the request its id, ask for the key, shape errors as OpenAI does, log one line."""

from __future__ import annotations

import asyncio
import hmac
import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from runtime.gateway.record import CLIENT_GONE, Record
from runtime.gateway.upstream import PeerError
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError

HEALTH: Final = "/health"
READY: Final = "/ready"
_OPEN: Final = frozenset({HEALTH, READY})

RECORD: Final = web.RequestKey("record", Record)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_GONE: Final = (ConnectionResetError, asyncio.CancelledError)


def guard(key: str, ended: Callable[[Record, int], None]) -> Any:
    """Return the middleware; ``key`` is what clients present, ``ended`` is told of each request and its status."""

    @web.middleware
    async def run(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await handler(request)  # probes come every few seconds: neither key nor log line
        record = request[RECORD] = Record(uuid.uuid4().hex, request.method, request.path)
        status = CLIENT_GONE
        try:
            response = await _answer(request, handler, key)
            status = response.status
        except _GONE:
            record.code = "client_gone"
            raise
        finally:
            ended(record, status)
        return response

    return run


async def label(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id on every answer; an aiohttp ``on_response_prepare`` signal."""
    if RECORD in request:
        response.headers[fields.REQUEST_ID_HEADER] = request[RECORD].request_id


async def _answer(request: web.Request, handler: _Handler, key: str) -> web.StreamResponse:
    record = request[RECORD]
    try:
        _authorize(request, key)
        return await handler(request)
    except _GONE:
        raise
    except HandoffError as error:
        record.code = error.code.value
        return _shaped(error, error.status)
    except PeerError as error:
        record.code = None if error.code is None else f"{error.code!s:.80}"
        return _passed_on(error)
    except web.HTTPException as error:
        record.code = Code.INVALID_REQUEST.value
        return _refused_by_router(request, error)
    except Exception:  # a fault of ours must still reach the client in a shape that it can read
        traceback.print_exc(file=sys.stderr)
        record.code = "internal"
        return _shaped(HandoffError(Code.DECODE_FAILED, "the gateway failed: its log tells why"), 500)


def _authorize(request: web.Request, key: str) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # bytes, since compare_digest takes no text beyond ASCII
    matches = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), key.encode())
    if scheme.lower() != "bearer" or not matches:
        raise HandoffError(Code.UNAUTHORIZED, "the key is missing or wrong: send Authorization: Bearer <key>")


def _shaped(error: HandoffError, status: int) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.json_response(error.body(), status=status, headers=headers)


def _passed_on(error: PeerError) -> web.Response:
    headers = {"Retry-After": error.retry_after} if error.retry_after else {}
    return web.Response(body=error.body, status=error.status, content_type="application/json", headers=headers)


def _refused_by_router(request: web.Request, error: web.HTTPException) -> web.Response:
    message = f"{request.method} {request.path[:200]}: {error.reason}"
    response = _shaped(HandoffError(Code.INVALID_REQUEST, message), error.status)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
