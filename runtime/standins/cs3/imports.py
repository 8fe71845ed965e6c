"""Bring a request's KV over from its worker: do what ``Fence`` allows, and what it asks for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from runtime.handoff import fields
from runtime.handoff.acceptance import Accepted
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.fence import Action, Actions, Fence
from runtime.handoff.kv import layout
from runtime.handoff.kv.description import KvDescription
from runtime.handoff.kv.memory import Holding, Integers
from runtime.handoff.reservation import Reservation, Reservations
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.standins.cs3.chat import ChatRequest
from runtime.standins.cs3.inflow import Inflow
from runtime.standins.cs3.phases import Phases
from runtime.standins.cs3.streams import Streams
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.layer import Half
from runtime.standins.reader import pull
from runtime.standins.reader.landing import Landing
from runtime.standins.reader.link import READ_SECONDS, Address, Link, Peer
from runtime.standins.reader.window import block_size, staging_bytes

log = logging.getLogger(__name__)

PAGE: Final = 128
"""Tokens that memory is reserved by: whole blocks of most workers. For longer ones a reservation grows, if it can."""

Received = tuple[Half, int, Callable[[], None]]
"""A cache with KV, the bytes that crossed the wire, and what raises ``HandoffError`` unless the KV is right."""


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
    streamed: bool
    """Whether reading began before prefill had ended."""
    late_bytes: int
    """What was still to be read then; 0 where nothing was streamed."""


class Importer:
    """Read KV by ``link`` into memory that ``reservations`` hold.

    ``worker_kv`` says how workers keep KV whose handshake does not tell.
    """

    def __init__(
        self,
        engine: Engine,
        reservations: Reservations,
        link: Link,
        streams: Streams,
        *,
        worker_kv: KvDescription | None = None,
    ) -> None:
        self._engine = engine
        self._worker_kv = worker_kv
        self._reservations = reservations
        self._link = link
        self._streams = streams
        self._notices: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def imported(
        self, chat: ChatRequest, prompt: list[int], accepted: Accepted, reservation: Reservation, phases: Phases
    ) -> AsyncIterator[Imported]:
        """Yield KV that may be decoded; afterwards, or where it is refused, free its memory and the worker's blocks.

        Raises ``HandoffError``, which tells the phase, as do errors raised while the KV is in use.
        """
        fence, inflow = Fence(accepted, reservation), None
        try:
            max_tokens = self._limit(chat, accepted.ticket.num_tokens, reservation)
            tokens = accepted.ticket.num_tokens + max_tokens
            if inflow := self._streams.take(accepted, tokens=tokens):
                cache, kv_bytes, verify = await self._follow(inflow, accepted, fence, phases)
            else:
                cache, kv_bytes, verify = await self._read(tokens, accepted, fence, phases)
            with phases.measure("verify"):
                _check_length(prompt, accepted)
                verify()
            del verify  # and with it what windows were read into
            self._hold(cache.nbytes, accepted)
            self._do(fence.own(), accepted)
            yield Imported(
                request_id=accepted.ticket.request_id,
                prompt=prompt,
                cache=cache,
                max_tokens=max_tokens,
                kv_bytes=kv_bytes,
                phases=phases,
                verified=accepted.seal is not None,
                streamed=inflow is not None,
                late_bytes=inflow.late_bytes if inflow else 0,
            )
        except HandoffError as error:
            error.phase = fence.phase
            raise
        finally:  # a client that left is no Exception, and what it holds must go as well
            self._do(fence.end(), accepted)
            if inflow:
                inflow.drop()

    def needed_bytes(self, *, prompt_tokens: int, tokens: int) -> int:
        """Return how much memory it takes to read the KV of a prompt into a cache for ``tokens`` tokens."""
        geometry = self._engine.geometry
        worker = self._worker_kv or pull.f16(geometry, layout.NHD, PAGE)
        pages = -(-tokens // PAGE) * PAGE
        staging = staging_bytes(worker, -(-min(prompt_tokens, tokens) // worker.block_size))
        return pages * geometry.kv_bytes_per_token + staging

    def notify(self, accepted: Accepted) -> None:
        """Tell the worker, without waiting for it, that nobody will read the request's blocks any more."""
        notice = asyncio.create_task(self._tell(accepted))
        self._notices.add(notice)
        notice.add_done_callback(self._notices.discard)

    async def close(self, *, timeout: float) -> None:
        """Wait for notices to workers that are under way."""
        if self._notices:
            await asyncio.wait(self._notices, timeout=timeout)

    def _do(self, actions: Actions, accepted: Accepted) -> None:
        if Action.NOTIFY in actions:
            self.notify(accepted)
        if Action.FREE in actions:
            self._reservations.finish(accepted.ticket.reservation_id)

    def _limit(self, chat: ChatRequest, num_tokens: int, reservation: Reservation) -> int:
        """Return how many tokens may be decoded."""
        geometry = self._engine.geometry
        room = geometry.context - num_tokens
        max_tokens = max(1, min(reservation.max_tokens, room)) if chat.left is None else chat.left
        if max_tokens > room:
            raise HandoffError(
                Code.CONTEXT_LENGTH_EXCEEDED,
                f"KV of {num_tokens} tokens leaves room for {room}, max_tokens is {max_tokens}: lower max_tokens",
            )
        return max_tokens

    def _hold(self, size: int, accepted: Accepted) -> None:
        """Let the reservation hold what is really needed, in bytes."""
        self._reservations.resize(accepted.ticket.reservation_id, size, now=time.monotonic())

    async def _read(self, tokens: int, accepted: Accepted, fence: Fence, phases: Phases) -> Received:
        """Read all KV into a new cache for ``tokens`` tokens."""
        with phases.measure("handshake"):
            peer = await self._shake(accepted, fence)
        with phases.measure("transfer"):
            worker = self._holding(peer.metadata, accepted)
            size = block_size(worker.description, tokens)
            staging = staging_bytes(worker.description, len(worker.block_ids[0]))
            self._hold(self._engine.cache_bytes(tokens, block_size=size) + staging, accepted)
            cache = self._engine.new_cache(tokens, block_size=size)
            landing = Landing(worker, accepted.ticket.num_tokens, cache, accepted.seal)
            now = time.monotonic()
            until = now + min(fence.reading(now=now), READ_SECONDS)

            async def read(pairs: Integers) -> int:
                return await self._link.read(peer, pairs, seconds=until - time.monotonic())

            with self._link.receiving(landing.memory, lambda: self._do(fence.settled(), accepted)):
                kv_bytes = await landing.bring(read)
            fence.read(now=time.monotonic())
        return cache, kv_bytes, landing.verify

    async def _follow(self, inflow: Inflow, accepted: Accepted, fence: Fence, phases: Phases) -> Received:
        """Read what a stream has not brought yet. All of it must have come before the lease may have ended."""
        with phases.measure("handshake"):
            await self._shake(accepted, fence)
        with phases.measure("transfer"):
            seconds = fence.reading(now=time.monotonic())
            inflow.adopt(lambda: self._do(fence.settled(), accepted))
            self._hold(inflow.cache.nbytes, accepted)
            await inflow.finish(seconds=min(seconds, READ_SECONDS))
            fence.read(now=time.monotonic())
        return inflow.cache, inflow.kv_bytes, partial(inflow.verify, accepted)

    async def _shake(self, accepted: Accepted, fence: Fence) -> Peer:
        peer = await self._link.connect(_address(accepted))
        fence.shaken(peer.life)
        return peer

    def _holding(self, remote: NixlAgentMetadata, accepted: Accepted) -> Holding:
        geometry, num_tokens = self._engine.geometry, accepted.ticket.num_tokens
        worker = self._worker_kv or pull.describe(remote, geometry)
        pull.check_layout(remote, worker, geometry)
        groups = accepted.params[fields.REMOTE_BLOCK_IDS]
        blocks = pull.needed_blocks(groups, num_tokens, block_size=remote.block_size, num_blocks=remote.num_blocks)
        return pull.holding(remote, worker, blocks)

    async def _tell(self, accepted: Accepted) -> None:
        try:
            await self._link.notify(_address(accepted), accepted.done)
        except HandoffError as error:  # nobody waits for it: the lease will free the blocks
            log.warning("notice for request %s not delivered: %s", accepted.ticket.remote_request_id, error)


def _address(accepted: Accepted) -> Address:
    return Address(
        host=accepted.params[fields.REMOTE_HOST],
        port=accepted.params[fields.REMOTE_PORT],
        life=accepted.life,
        pipelined=fields.REMOTE_BLOCKS_EXPIRY_TIME in accepted.params,
    )


def _check_length(prompt: list[int], accepted: Accepted) -> None:
    """Raise ``HandoffError`` (``kv_foreign``) on another prompt than was prefilled."""
    num_tokens = accepted.ticket.num_tokens
    if len(prompt) != num_tokens:
        raise HandoffError(
            Code.KV_FOREIGN,
            f"the messages are {len(prompt)} tokens, the KV is of {num_tokens}: prefill this very prompt",
        )
