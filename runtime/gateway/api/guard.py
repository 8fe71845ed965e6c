"""Stand before every route: give the request its id, ask for the key, shape errors as its API does, log one line."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from runtime.gateway.access import tenants
from runtime.gateway.access.tenants import Keyring, Tenant
from runtime.gateway.admission.bodies import Bodies
from runtime.gateway.api import refusal
from runtime.gateway.api.bedrock import signature
from runtime.gateway.api.bedrock.signature import Signed
from runtime.gateway.api.body import expected, read_body
from runtime.gateway.api.call import Call
from runtime.gateway.http.message import Answer, HttpError, Request
from runtime.gateway.http.routes import Routes
from runtime.gateway.http.stream import Stream
from runtime.gateway.peers.upstream import PeerError
from runtime.gateway.telemetry import tracing
from runtime.gateway.telemetry.record import CLIENT_GONE, Record
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError

HEALTH: Final = "/health"
READY: Final = "/ready"
OPENAPI: Final = "/openapi.json"
OPEN: Final = frozenset({HEALTH, READY, OPENAPI})
_UNKNOWN: Final = ""
"""Whose bodies are those of requests that are not authorized yet; no tenant has this id."""
_GONE: Final = (ConnectionResetError, asyncio.CancelledError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Guard:
    """Stand before ``routes``, and before ``open`` ones, which need no key.

    ``known`` returns the tenants of the moment, ``ended`` is told each request's status. Requests in AWS's way must be
    signed for ``region``, their body having at most ``body_bytes``. ``bodies`` bounds what all of them hold.
    """

    routes: Routes[Call]
    open: Routes[Request]
    known: Callable[[], Sequence[Keyring]]
    ended: Callable[[Record, int], None]
    region: str
    body_bytes: int
    bodies: Bodies

    async def handle(self, request: Request) -> Answer | Stream:
        """Answer a request, whatever it is."""
        if request.raw_path in OPEN:
            return await self._unlogged(request)
        record = Record(os.urandom(16).hex(), request.method, request.path)
        record.parent = tracing.parent(request.headers)
        request.labels[fields.REQUEST_ID_HEADER] = record.request_id
        if request.path.startswith(refusal.BEDROCK):
            request.labels[refusal.BEDROCK_REQUEST_ID] = record.request_id
        status = CLIENT_GONE
        try:
            answer = await self._answer(request, record)
            status = answer.status
        except _GONE:
            record.code = "client_gone"
            raise
        finally:
            self.ended(record, status)
        return answer

    async def _unlogged(self, request: Request) -> Answer | Stream:
        """Answer what needs no key; probes come every few seconds, so there is no log line either."""
        try:
            return await self.open.find(request)(request)
        except HttpError as error:
            return refusal.by_router(request.path, request.method, error)

    async def _answer(self, request: Request, record: Record) -> Answer | Stream:
        try:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme == signature.ALGORITHM and request.path.startswith(refusal.BEDROCK):
                tenant = await self._signer(request)
            else:
                tenant = self._bearer(scheme, given)
            record.tenant = tenant.id
            size = expected(request, self.body_bytes)
            self.bodies.take(tenant.id, size)
            try:
                return await self.routes.find(request)(Call(request, record, tenant))
            finally:
                self.bodies.give_back(tenant.id, size)
        except _GONE:
            raise
        except HandoffError as error:
            record.code = error.code.value
            return refusal.refused(request.path, error, error.status)
        except PeerError as error:
            record.code = None if error.code is None else f"{error.code!s:.80}"
            return refusal.passed_on(request.path, error)
        except HttpError as error:
            record.code = Code.INVALID_REQUEST.value
            return refusal.by_router(request.path, request.method, error)
        except Exception:  # a fault of ours must still reach the client in a shape that it can read
            traceback.print_exc(file=sys.stderr)
            record.code = "internal"
            failed = HandoffError(Code.DECODE_FAILED, "the gateway failed: its log tells why")
            return refusal.refused(request.path, failed, 500)

    def _bearer(self, scheme: str, given: str) -> Tenant:
        tenant = tenants.identify(given.strip(), self.known())
        if scheme.lower() != "bearer" or tenant is None:
            raise HandoffError(Code.UNAUTHORIZED, "the key is missing or wrong: send Authorization: Bearer <key>")
        return tenant

    async def _signer(self, request: Request) -> Tenant:
        """Return the tenant that signed the request, as AWS's clients do where they are given no bearer token.

        A signature covers the body, so it is read before it is known whose it is.
        """
        signers = ChainMap(*(ring.signers for ring in self.known()))
        size = expected(request, self.body_bytes)
        self.bodies.take(_UNKNOWN, size)
        try:
            body = await read_body(request, self.body_bytes)
        finally:
            self.bodies.give_back(_UNKNOWN, size)

        def secret_of(key: str) -> str | None:
            return signers[key][1] if key in signers else None

        signed = Signed(method=request.method, target=request.target, headers=request.headers, body=body)
        key = signature.verify(signed, region=self.region, secret_of=secret_of, now=datetime.now(UTC))
        return signers[key][0]
