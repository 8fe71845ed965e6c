"""KV handoff to a decode endpoint of the contract: reserve, prefill, sign, decode."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from runtime.gateway import chat as bodies
from runtime.gateway.chat import Chat
from runtime.gateway.config import Cs3Config
from runtime.gateway.decode import decode
from runtime.gateway.phases import Phases
from runtime.gateway.prefill import Prefill
from runtime.gateway.releases import Releases
from runtime.gateway.upstream import Client, PeerError, Response, UnreachableError, headers, refusal
from runtime.handoff import contract, fields, ticket
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.ticket import Ticket

_CLOCK_SKEW_SECONDS: Final = 30
"""Allowed between gateway and endpoint when a ticket's expiry is checked; the lease itself needs no shared clock."""
_QUICK_SECONDS: Final = 10.0
_ATTEMPT: Final = 1


@dataclass(frozen=True, slots=True)
class Reservation:
    """Name memory that the endpoint holds; ``received_at`` is monotonic, in seconds.

    ``stream`` invites the worker to offer KV before prefill has ended; None where the endpoint does not stream.
    """

    reservation_id: str
    received_at: float
    stream: object


class Cs3Provider:
    """Hold capacity at the endpoint first, since its memory is the narrow point, then prefill for it.

    ``key`` returns what the endpoint asks for, ``ticket_key`` what tickets are signed with, both at this moment.
    """

    def __init__(
        self,
        config: Cs3Config,
        prefill: Prefill,
        client: Client,
        releases: Releases,
        *,
        key: Callable[[], str],
        ticket_key: Callable[[], bytes],
    ) -> None:
        self._config = config
        self._key, self._ticket_key = key, ticket_key
        self._prefill = prefill
        self._client = client
        self._releases = releases

    @property
    def lack(self) -> str | None:
        """Whether prefill has no worker."""
        return self._prefill.pool.lack

    @asynccontextmanager
    async def answer(self, chat: Chat, phases: Phases) -> AsyncIterator[Response]:
        """Yield the endpoint's answer; see ``Provider``."""
        bodies.require_single_answer(chat)
        reservation = await self._reserve(chat, phases)
        release: Callable[[], Coroutine[Any, Any, None]] | None = partial(self._withdraw, chat, reservation)
        try:
            gap_ms = int((time.monotonic() - reservation.received_at) * 1000)
            params = self._signed(await self._prefill.run(chat, phases, reservation.stream), chat, reservation, gap_ms)
            release = partial(self._abort, chat, params)
            body = bodies.with_kv(bodies.renamed(chat.body, self._config.model), params)
            url = self._config.endpoint + chat.path
            async with decode(self._client, url, self._key(), chat.request_id, body, phases) as response:
                release = None  # from here on the endpoint frees everything when this connection ends
                yield response
        finally:
            if release is not None:
                self._releases.start(chat.request_id, release())

    async def _reserve(self, chat: Chat, phases: Phases) -> Reservation:
        """Reserve; a client that leaves meanwhile leaves no reservation behind, although its id is not known yet."""
        with phases.measure("reserve"):
            asking = asyncio.ensure_future(self._ask_reservation(chat))
            try:
                return await asyncio.shield(asking)
            except asyncio.CancelledError:
                self._releases.start(chat.request_id, self._withdraw_when_known(chat, asking))
                raise

    async def _ask_reservation(self, chat: Chat) -> Reservation:
        body = {
            "request_id": chat.request_id,
            "attempt": _ATTEMPT,
            "model": self._config.model,
            "prompt_tokens": chat.prompt_tokens,
            "max_tokens": chat.max_tokens,
        }
        try:
            async with self._send("POST", contract.RESERVATIONS, chat, bodies.encode(body)) as response:
                if response.status != 201:
                    raise await refusal(response, peer="decode endpoint", failed=Code.DECODE_FAILED)
                return _reservation(await response.read(), time.monotonic())
        except UnreachableError as error:
            message = f"the decode endpoint cannot be reached ({error}): try again"
            raise HandoffError(Code.DECODE_UNAVAILABLE, message) from error

    def _signed(self, params: Mapping[str, Any], chat: Chat, reservation: Reservation, gap_ms: int) -> dict[str, Any]:
        claims = Ticket.for_params(
            params,
            tenant=chat.tenant,
            request_id=chat.request_id,
            attempt=_ATTEMPT,
            model=self._config.model,
            reservation_id=reservation.reservation_id,
            lease_ms=self._config.lease_seconds * 1000,
            prefill_gap_ms=gap_ms,
            expires_at=time.time() + self._config.lease_seconds + _CLOCK_SKEW_SECONDS,
        )
        ours = {fields.SEAL: ticket.seal_of(params), fields.TICKET: ticket.sign(claims, self._ticket_key())}
        return {**params, fields.TANDEM: ours}

    async def _withdraw_when_known(self, chat: Chat, asking: asyncio.Future[Reservation]) -> None:
        try:
            reservation = await asking
        except (HandoffError, PeerError):
            return  # nothing was granted
        await self._withdraw(chat, reservation)

    async def _withdraw(self, chat: Chat, reservation: Reservation) -> None:
        await self._clean_up("DELETE", f"{contract.RESERVATIONS}/{quote(reservation.reservation_id, safe='')}", chat)

    async def _abort(self, chat: Chat, params: Mapping[str, Any]) -> None:
        await self._clean_up("POST", contract.ABORT, chat, bodies.encode({fields.KV_TRANSFER_PARAMS: params}))

    async def _clean_up(self, method: str, path: str, chat: Chat, body: bytes = b"") -> None:
        async with self._send(method, path, chat, body) as response:
            if response.status not in (202, 204):
                raise HandoffError(Code.DECODE_FAILED, f"{method} {path} was answered with status {response.status}")

    def _send(self, method: str, path: str, chat: Chat, body: bytes) -> AbstractAsyncContextManager[Response]:
        url = self._config.endpoint + path
        sent = headers(self._key(), chat.request_id)
        return self._client.send(method, url, headers=sent, body=body, silence=_QUICK_SECONDS)


def _reservation(body: bytes, received_at: float) -> Reservation:
    try:
        answer = json.loads(body)
        reservation_id, stream = answer["reservation_id"], answer.get(fields.STREAM)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise HandoffError(Code.DECODE_FAILED, "the decode endpoint granted a reservation without an id") from error
    if not isinstance(reservation_id, str) or not reservation_id:
        raise HandoffError(Code.DECODE_FAILED, "the decode endpoint granted a reservation without an id")
    return Reservation(reservation_id, received_at, stream)
