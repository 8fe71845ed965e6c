"""Stand before every route: give the request its id, ask for the key, shape errors as OpenAI does, log one line."""

from __future__ import annotations

import asyncio
import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiohttp import web

from runtime.gateway import tenants
from runtime.gateway.record import CLIENT_GONE, Record
from runtime.gateway.tenants import Tenant
from runtime.gateway.upstream import PeerError
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError

HEALTH: Final = "/health"
READY: Final = "/ready"
_OPEN: Final = frozenset({HEALTH, READY})

RECORD: Final = web.RequestKey("record", Record)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_GONE: Final = (ConnectionResetError, asyncio.CancelledError)


def guard(known: Callable[[], Iterable[Tenant]], ended: Callable[[Record, int], None]) -> Any:
    """Return the middleware; ``known`` returns the tenants of the moment, ``ended`` is told each request's status."""

    @web.middleware
    async def run(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await handler(request)  # probes come every few seconds: neither key nor log line
        record = request[RECORD] = Record(uuid.uuid4().hex, request.method, request.path)
        status = CLIENT_GONE
        try:
            response = await _answer(request, handler, known())
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


async def _answer(request: web.Request, handler: _Handler, known: Iterable[Tenant]) -> web.StreamResponse:
    record = request[RECORD]
    try:
        record.tenant = _authorize(request, known).id
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


def _authorize(request: web.Request, known: Iterable[Tenant]) -> Tenant:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    tenant = tenants.identify(given.strip(), known)
    if scheme.lower() != "bearer" or tenant is None:
        raise HandoffError(Code.UNAUTHORIZED, "the key is missing or wrong: send Authorization: Bearer <key>")
    return tenant


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
