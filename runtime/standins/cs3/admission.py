"""Decide whether a request may be decoded, and fetch its KV: every check of the contract, in the contract's order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from runtime.handoff import fields, ticket
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.kv import digest
from runtime.handoff.nixl import Pair
from runtime.handoff.seal import Seal
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.handoff.ticket import Ticket, TicketError
from runtime.standins.cs3 import pull
from runtime.standins.cs3.chat import ChatRequest, invalid
from runtime.standins.cs3.link import Address, Link
from runtime.standins.cs3.phases import Phases
from runtime.standins.cs3.reservations import Reservation, Reservations
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.layer import Half
from runtime.standins.engine.model_file import MODEL_DIGEST

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """Hold KV that was read and verified."""

    request_id: str
    prompt: list[int]
    cache: Half
    max_tokens: int
    kv_bytes: int
    phases: Phases
    verified: bool
    """Whether the worker gave digests of the KV; if not, only the time of its lease vouches for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """Hold ``kv_transfer_params`` that a valid ticket covers."""

    params: Mapping[str, Any]
    ticket: Ticket
    seal: Seal | None

    @property
    def worker(self) -> Address:
        """Where the KV lies."""
        return Address(
            host=self.params[fields.REMOTE_HOST],
            port=self.params[fields.REMOTE_PORT],
            engine_id=self.params[fields.REMOTE_ENGINE_ID],
            generation=self.seal.generation if self.seal else "",
        )

    @property
    def done(self) -> bytes:
        """What tells the worker that its one reader needs the blocks no more."""
        return f"{self.ticket.remote_request_id}:1".encode()


class Admission:
    """Let requests in one by one; ``ticket_keys`` are those that a gateway may sign with."""

    def __init__(
        self, *, model: str, engine: Engine, ticket_keys: Sequence[bytes], reservations: Reservations, link: Link
    ) -> None:
        self._model = model
        self._engine = engine
        self._ticket_keys = ticket_keys
        self._reservations = reservations
        self._link = link
        self._notices: set[asyncio.Task[None]] = set()

    def reserve(self, model: str, *, prompt_tokens: int, max_tokens: int) -> Reservation:
        """Hold memory for one request; ``prompt_tokens`` is an estimate, so it alone never exceeds the context."""
        self._check_model(model)
        self._check_context(1, max_tokens)
        tokens = min(prompt_tokens + max_tokens, self._engine.geometry.context)
        size = tokens * self._engine.geometry.kv_bytes_per_token
        return self._reservations.grant(size, max_tokens=max_tokens, now=time.monotonic())

    @asynccontextmanager
    async def admit(self, chat: ChatRequest) -> AsyncIterator[Imported]:
        """Yield the request's KV and free its memory afterwards; raise ``HandoffError`` with the contract's codes."""
        phases = Phases()
        with phases.measure("verify"):  # tokenising here is what the KV's length is verified by
            prompt = await self._tokenise(chat)
        accepted = self._accept(chat.kv_transfer_params)
        reservation = self._consume(accepted)
        try:
            cache, max_tokens, kv_bytes = await self._import(chat, accepted, reservation, phases)
            with phases.measure("verify"):
                _check_lease(accepted.ticket, reservation)
                _check_length(prompt, accepted.ticket)
                await _check_content(cache, accepted)
            yield Imported(
                request_id=accepted.ticket.request_id,
                prompt=prompt,
                cache=cache,
                max_tokens=max_tokens,
                kv_bytes=kv_bytes,
                phases=phases,
                verified=accepted.seal is not None,
            )
        finally:
            self._reservations.finish(reservation.reservation_id)

    def abort(self, params: object) -> None:
        """Give up a prefilled request: free its reservation and its blocks, unless it is being decoded already."""
        accepted = self._accept(params)
        self._reservations.withdraw(accepted.ticket.reservation_id, now=time.monotonic())
        self._free_unread(accepted)

    async def close(self, *, timeout: float) -> None:
        """Wait for notices to workers that are under way."""
        if self._notices:
            await asyncio.wait(self._notices, timeout=timeout)

    async def _tokenise(self, chat: ChatRequest) -> list[int]:
        self._check_model(chat.model)
        try:
            prompt = await asyncio.to_thread(self._engine.tokenizer.chat, chat.messages)
        except ValueError as error:
            raise invalid(str(error)[:500]) from error
        self._check_context(len(prompt), chat.max_tokens or 1)
        return prompt

    def _accept(self, params: object) -> Accepted:
        given = params if isinstance(params, Mapping) else {}
        ours = given.get(fields.TANDEM)
        try:
            token = ours.get(fields.TICKET) if isinstance(ours, Mapping) else None
            claims = ticket.verify(token, self._ticket_keys, now=time.time())
        except TicketError as error:
            name = f"{fields.KV_TRANSFER_PARAMS}.{fields.TANDEM}.{fields.TICKET}"
            raise HandoffError(Code.TICKET_INVALID, f"{name}: {error}: reserve and prefill again") from error
        missing = fields.missing(given)
        if missing or given[fields.REMOTE_NUM_TOKENS] < 1:
            names = ", ".join(missing or [fields.REMOTE_NUM_TOKENS])
            raise HandoffError(
                Code.KV_INCOMPLETE, f"{fields.KV_TRANSFER_PARAMS} lack {names}: pass on the worker's own"
            )
        if not claims.covers(given) or claims.model != self._model:
            raise HandoffError(
                Code.KV_FOREIGN, "the ticket was signed for other KV, or for another model: prefill again"
            )
        seal = Seal.from_params(ticket.seal_of(given), num_tokens=claims.num_tokens)
        if seal and seal.model_digest not in ("", MODEL_DIGEST):
            raise HandoffError(
                Code.KV_FOREIGN, f"the KV is of model {seal.model_digest[:80]}, decoded is {MODEL_DIGEST}: redeploy one"
            )
        return Accepted(params=given, ticket=claims, seal=seal)

    def _consume(self, accepted: Accepted) -> Reservation:
        try:
            return self._reservations.consume(accepted.ticket.reservation_id, now=time.monotonic())
        except HandoffError:
            self._free_unread(accepted)
            raise

    async def _import(
        self, chat: ChatRequest, accepted: Accepted, reservation: Reservation, phases: Phases
    ) -> tuple[Half, int, int]:
        """Return a cache that holds the KV, how many tokens may follow it, and the bytes moved."""
        try:
            max_tokens = self._fit(chat, accepted.ticket.num_tokens, reservation)
            with phases.measure("handshake"):
                peer = await self._link.connect(accepted.worker)
            cache = self._engine.new_cache(accepted.ticket.num_tokens + max_tokens)
            pairs = self._plan(peer.metadata, accepted, cache)
            with phases.measure("transfer"):
                kv_bytes = await self._link.read(peer, pairs, cache, accepted.done)
        except BaseException:  # a client that left is no Exception, and its blocks must go as well
            self._free(accepted)
            raise
        return cache, max_tokens, kv_bytes

    def _fit(self, chat: ChatRequest, num_tokens: int, reservation: Reservation) -> int:
        """Let the reservation hold what is really needed; return how many tokens may be decoded."""
        room = self._engine.geometry.context - num_tokens
        max_tokens = chat.max_tokens or max(1, min(reservation.max_tokens, room))
        self._check_context(num_tokens, max_tokens)
        size = (num_tokens + max_tokens) * self._engine.geometry.kv_bytes_per_token
        self._reservations.resize(reservation.reservation_id, size, now=time.monotonic())
        return max_tokens

    def _plan(self, remote: NixlAgentMetadata, accepted: Accepted, cache: Half) -> list[Pair]:
        geometry, num_tokens = self._engine.geometry, accepted.ticket.num_tokens
        pull.check_layout(remote, geometry)
        groups = accepted.params[fields.REMOTE_BLOCK_IDS]
        blocks = pull.needed_blocks(groups, num_tokens, block_size=remote.block_size, num_blocks=remote.num_blocks)
        return pull.plan_reads(
            remote, blocks, num_tokens, geometry, cache_address=cache.ctypes.data, capacity=cache.shape[2]
        )

    def _check_model(self, model: str) -> None:
        if model != self._model:
            raise HandoffError(Code.MODEL_NOT_FOUND, f"model is {model[:80]!r}, served is {self._model!r}")

    def _check_context(self, num_tokens: int, max_tokens: int) -> None:
        context = self._engine.geometry.context
        if num_tokens + max_tokens > context:
            raise HandoffError(
                Code.CONTEXT_LENGTH_EXCEEDED,
                f"{num_tokens} prompt tokens and max_tokens {max_tokens} exceed the model's context of {context}: "
                "shorten the prompt or lower max_tokens",
            )

    def _free_unread(self, accepted: Accepted) -> None:
        """Free a request's blocks unless another call reads, or did read, them: that call tells the worker itself."""
        if not self._reservations.was_consumed(accepted.ticket.reservation_id):
            self._free(accepted)

    def _free(self, accepted: Accepted) -> None:
        """Tell the worker, without waiting for it, that nobody will read the request's blocks any more."""
        notice = asyncio.create_task(self._tell(accepted))
        self._notices.add(notice)
        notice.add_done_callback(self._notices.discard)

    async def _tell(self, accepted: Accepted) -> None:
        try:
            await self._link.notify(accepted.worker, accepted.done)
        except HandoffError as error:  # nobody waits for it: the lease will free the blocks
            log.warning("notice for request %s not delivered: %s", accepted.ticket.remote_request_id, error)


def _check_lease(claims: Ticket, reservation: Reservation) -> None:
    """Raise ``HandoffError`` (``kv_stale``) unless the worker still held the blocks when the READ ended.

    The lease began after the prefill request was sent, thus after the reservation was granted plus the gateway's gap.
    """
    late = time.monotonic() - reservation.granted_at - (claims.prefill_gap_ms + claims.lease_ms) / 1000
    if late >= 0:
        raise HandoffError(Code.KV_STALE, f"KV was read {late:.3f} s after its lease may have ended: prefill again")


async def _check_content(cache: Half, accepted: Accepted) -> None:
    """Raise ``HandoffError`` (``kv_corrupt``) unless the KV is what the worker digested, where it did."""
    if accepted.seal:
        await asyncio.to_thread(digest.verify, cache[:, :, : accepted.ticket.num_tokens], accepted.seal)


def _check_length(prompt: list[int], claims: Ticket) -> None:
    if len(prompt) != claims.num_tokens:
        raise HandoffError(
            Code.KV_FOREIGN,
            f"the messages are {len(prompt)} tokens, the KV is of {claims.num_tokens}: prefill this very prompt",
        )
