"""Stand before every route: give the request its id, ask for the key, shape errors as its API does, log one line."""

from __future__ import annotations

import asyncio
import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from runtime.gateway import refusal, tenants, tracing
from runtime.gateway.bedrock import signature
from runtime.gateway.bedrock.signature import Signed
from runtime.gateway.connection import read_body
from runtime.gateway.record import CLIENT_GONE, Record
from runtime.gateway.tenants import Tenant
from runtime.gateway.upstream import PeerError
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError

HEALTH: Final = "/health"
READY: Final = "/ready"
OPENAPI: Final = "/openapi.json"
_OPEN: Final = frozenset({HEALTH, READY, OPENAPI})

RECORD: Final = web.RequestKey("record", Record)
TENANT: Final = web.RequestKey("tenant", Tenant)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_GONE: Final = (ConnectionResetError, asyncio.CancelledError)


def guard(known: Callable[[], Iterable[Tenant]], ended: Callable[[Record, int], None], region: str) -> Any:
    """Return the middleware: ``known`` returns the tenants of the moment, ``ended`` is told each request's status.

    Requests in AWS's way must be signed for ``region``.
    """

    @web.middleware
    async def run(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in _OPEN:
            return await _unlogged(request, handler)
        record = request[RECORD] = Record(uuid.uuid4().hex, request.method, request.path)
        record.parent = tracing.parent(request.headers)
        status = CLIENT_GONE
        try:
            response = await _answer(request, handler, known(), region)
            status = response.status
        except _GONE:
            record.code = "client_gone"
            raise
        finally:
            ended(record, status)
        return response

    return run


async def _unlogged(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer what needs no key; probes come every few seconds, so there is no log line either."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return refusal.by_router(request.path, request.method, error)


async def label(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id on every answer; an aiohttp ``on_response_prepare`` signal."""
    if RECORD in request:
        response.headers[fields.REQUEST_ID_HEADER] = request[RECORD].request_id
        if request.path.startswith(refusal.BEDROCK):
            response.headers[refusal.BEDROCK_REQUEST_ID] = request[RECORD].request_id


async def _answer(request: web.Request, handler: _Handler, known: Iterable[Tenant], region: str) -> web.StreamResponse:
    record = request[RECORD]
    try:
        tenant = request[TENANT] = await _authorize(request, known, region)
        record.tenant = tenant.id
        return await handler(request)
    except _GONE:
        raise
    except HandoffError as error:
        record.code = error.code.value
        return refusal.refused(request.path, error, error.status)
    except PeerError as error:
        record.code = None if error.code is None else f"{error.code!s:.80}"
        return refusal.passed_on(request.path, error)
    except web.HTTPException as error:
        record.code = Code.INVALID_REQUEST.value
        return refusal.by_router(request.path, request.method, error)
    except Exception:  # a fault of ours must still reach the client in a shape that it can read
        traceback.print_exc(file=sys.stderr)
        record.code = "internal"
        failed = HandoffError(Code.DECODE_FAILED, "the gateway failed: its log tells why")
        return refusal.refused(request.path, failed, 500)


async def _authorize(request: web.Request, known: Iterable[Tenant], region: str) -> Tenant:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme == signature.ALGORITHM and request.path.startswith(refusal.BEDROCK):
        return await _signer(request, known, region)
    tenant = tenants.identify(given.strip(), known)
    if scheme.lower() != "bearer" or tenant is None:
        raise HandoffError(Code.UNAUTHORIZED, "the key is missing or wrong: send Authorization: Bearer <key>")
    return tenant


async def _signer(request: web.Request, known: Iterable[Tenant], region: str) -> Tenant:
    """Return the tenant that signed the request, as AWS's clients do where they are given no bearer token."""
    signers = tenants.signers(known)
    signed = Signed(
        method=request.method,
        target=request.raw_path,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await read_body(request),
    )
    secrets = {key: secret for key, (_, secret) in signers.items()}
    key = signature.verify(signed, region=region, secret_of=secrets.get, now=datetime.now(UTC))
    return signers[key][0]
