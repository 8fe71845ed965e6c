"""The interfaces of those who answer: a provider to the gateway, a decoder to what dispatches requests."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from runtime.gateway.continuation.way import Way
from runtime.gateway.peers.upstream import Response
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import Chat
from runtime.gateway.routing.disaggregation import Handoff
from runtime.gateway.telemetry.phases import Phases


class Provider(Protocol):
    """Have a request prefilled and decoded by peers."""

    @property
    def lack(self) -> str | None:
        """What is missing before requests can be served, or None."""

    async def answer(self, chat: Chat, phases: Phases) -> Response:
        """Return the decode peer's answer, of status 200; raise ``HandoffError`` or ``PeerError``.

        To leave it, at whatever point and for whatever reason, frees what the request holds at each peer.
        """


class Decoder(Hashable, Protocol):
    """One place where answers are decoded; those of the least ``tier`` are preferred."""

    @property
    def name(self) -> str:
        """Tell it from all others, and a run of it from the next one."""

    @property
    def tier(self) -> int:
        """Its rank, from 0."""

    @property
    def handoffs(self) -> frozenset[Handoff]:
        """What it can be given."""

    @property
    def caches(self) -> bool:
        """Whether it keeps the prefixes of prompts that it answered."""

    @property
    def way(self) -> Way | None:
        """How an answer that it, or another of its kind, began is gone on with; None where it tells no token's id."""

    def limit(self, chat: Chat, room: int) -> int:
        """Return how many tokens it answers with at most where ``room`` are left in the context."""

    async def run(self, chat: Chat, attempt: Attempt) -> Response:
        """Return its answer, of status 200; raise ``HandoffError`` or ``PeerError``, ``attempt.leg`` telling where.

        To leave the answer frees what the attempt holds at each peer; without one nothing is held.
        """
