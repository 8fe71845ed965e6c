"""KV handoff to a decode endpoint of the contract: reserve, prefill, sign, decode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import msgspec

from runtime.gateway.continuation.way import TAKEN_UP, Way
from runtime.gateway.peers.upstream import Client, Exchange, PeerError, Response, UnreachableError, headers, refusal
from runtime.gateway.providers.decode import decode
from runtime.gateway.providers.prefill import Prefill
from runtime.gateway.providers.releases import Releases
from runtime.gateway.request import chat as bodies
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import Chat
from runtime.gateway.routing.disaggregation import Handoff
from runtime.gateway.routing.failure import Leg
from runtime.handoff import contract, fields, ticket
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.ticket import Ticket

_CLOCK_SKEW_SECONDS: Final = 30
"""Allowed between gateway and endpoint when a ticket's expiry is checked; the lease itself needs no shared clock."""
_QUICK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Name memory that the endpoint holds; ``received_at`` is monotonic, in seconds.

    ``stream`` invites the worker to offer KV before prefill has ended; None where the endpoint does not stream.
    """

    reservation_id: str
    received_at: float
    stream: object


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Cs3Decoder:
    """Hold capacity at one endpoint first, since its memory is the narrow point, then prefill for it.

    ``key`` returns what the endpoint asks for, ``ticket_key`` what tickets are signed with, both at this moment.
    """

    url: str
    model: str
    lease_seconds: int
    prefill: Prefill
    client: Client
    releases: Releases
    key: Callable[[], str]
    ticket_key: Callable[[], bytes]
    tier: int = 0

    @property
    def name(self) -> str:
        """Its address."""
        return self.url

    @property
    def handoffs(self) -> frozenset[Handoff]:
        """KV alone."""
        return frozenset({Handoff.KV})

    @property
    def caches(self) -> bool:
        """No: an answer's memory is free when it ends."""
        return False

    @property
    def way(self) -> Way:
        """The contract's own."""
        return TAKEN_UP

    def limit(self, chat: Chat, room: int) -> int:
        """Return what was reserved, which the endpoint does not exceed."""
        return min(chat.max_tokens, room)

    async def run(self, chat: Chat, attempt: Attempt) -> Response:
        """Return the endpoint's answer; see ``Decoder``. From then on its end frees everything at the endpoint."""
        bodies.require_single_answer(chat)
        reservation = await self._reserve(chat, attempt)
        release: Callable[[], Coroutine[Any, Any, None]] = partial(self._withdraw, attempt, reservation)
        try:
            gap_ms = int((time.monotonic() - reservation.received_at) * 1000)
            params = await self.prefill.run(chat, attempt, reservation.stream)
            params = self._signed(params, chat, attempt, reservation, gap_ms)
            release = partial(self._abort, attempt, params)
            body = bodies.with_kv(bodies.renamed(chat.body, self.model), params)
            return await decode(self.client, self.url + chat.path, self.key(), body, attempt)
        except BaseException:
            self.releases.start(attempt.request_id, release())
            raise

    async def _reserve(self, chat: Chat, attempt: Attempt) -> Reservation:
        """Reserve; a client that leaves meanwhile leaves no reservation behind, although its id is not known yet."""
        attempt.leg = Leg.RESERVE
        with attempt.phases.measure("reserve"):
            exchange = await self._ask_reservation(chat, attempt)
            try:
                reservation = await _granted(exchange)
            except asyncio.CancelledError:
                self.releases.start(attempt.request_id, self._withdraw_when_known(attempt, exchange))
                raise
            except Exception:
                exchange.leave()
                raise
        exchange.leave()
        return reservation

    async def _ask_reservation(self, chat: Chat, attempt: Attempt) -> Exchange:
        body = {
            "request_id": chat.request_id,
            "attempt": attempt.number,
            "model": self.model,
            "prompt_tokens": chat.prompt_tokens,
            "max_tokens": chat.max_tokens,
        }
        try:
            return await self._send("POST", contract.RESERVATIONS, attempt, bodies.encode(body))
        except UnreachableError as error:
            raise _unreachable(error) from error

    def _signed(
        self, params: Mapping[str, Any], chat: Chat, attempt: Attempt, reservation: Reservation, gap_ms: int
    ) -> dict[str, Any]:
        claims = Ticket.for_params(
            params,
            tenant=chat.tenant,
            request_id=chat.request_id,
            attempt=attempt.number,
            model=self.model,
            reservation_id=reservation.reservation_id,
            lease_ms=self.lease_seconds * 1000,
            prefill_gap_ms=gap_ms,
            expires_at=time.time() + self.lease_seconds + _CLOCK_SKEW_SECONDS,
        )
        ours = {fields.SEAL: ticket.seal_of(params), fields.TICKET: ticket.sign(claims, self.ticket_key())}
        return {**params, fields.TANDEM: ours}

    async def _withdraw_when_known(self, attempt: Attempt, exchange: Exchange) -> None:
        with exchange:
            try:
                reservation = await _granted(exchange)
            except (HandoffError, PeerError):
                return  # nothing was granted
        await self._withdraw(attempt, reservation)

    async def _withdraw(self, attempt: Attempt, reservation: Reservation) -> None:
        path = f"{contract.RESERVATIONS}/{quote(reservation.reservation_id, safe='')}"
        await self._clean_up("DELETE", path, attempt)

    async def _abort(self, attempt: Attempt, params: Mapping[str, Any]) -> None:
        await self._clean_up("POST", contract.ABORT, attempt, bodies.encode({fields.KV_TRANSFER_PARAMS: params}))

    async def _clean_up(self, method: str, path: str, attempt: Attempt, body: bytes = b"") -> None:
        with await self._send(method, path, attempt, body) as exchange:
            await exchange.head()
            if exchange.status not in (202, 204):
                raise HandoffError(Code.DECODE_FAILED, f"{method} {path} was answered with status {exchange.status}")

    async def _send(self, method: str, path: str, attempt: Attempt, body: bytes) -> Exchange:
        sent = headers(self.key(), attempt.name)
        return await self.client.ask(method, self.url + path, headers=sent, body=body, silence=_QUICK_SECONDS)


async def _granted(exchange: Exchange) -> Reservation:
    """Return what the endpoint grants; who is cancelled here may ask again."""
    try:
        await exchange.head()
        if exchange.status != 201:
            raise await refusal(exchange, peer="decode endpoint", failed=Code.DECODE_FAILED)
        return _reservation(await exchange.read(), time.monotonic())
    except UnreachableError as error:
        raise _unreachable(error) from error


def _unreachable(error: UnreachableError) -> HandoffError:
    return HandoffError(Code.DECODE_UNAVAILABLE, f"the decode endpoint cannot be reached ({error}): try again")


def _reservation(body: bytes, received_at: float) -> Reservation:
    try:
        answer = msgspec.json.decode(body)
        reservation_id, stream = answer["reservation_id"], answer.get(fields.STREAM)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise HandoffError(Code.DECODE_FAILED, "the decode endpoint granted a reservation without an id") from error
    if not isinstance(reservation_id, str) or not reservation_id:
        raise HandoffError(Code.DECODE_FAILED, "the decode endpoint granted a reservation without an id")
    return Reservation(reservation_id, received_at, stream)
