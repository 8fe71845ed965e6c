"""Invite workers to offer KV before their prefill has ended, and follow what they offer."""

from __future__ import annotations

import base64
import logging
import secrets
import time
from functools import partial

from runtime.handoff.acceptance import Accepted
from runtime.handoff.reservation import Reservation, Reservations
from runtime.handoff.stream import Offer
from runtime.standins.cs3.inflow import Inflow
from runtime.standins.engine.engine import Engine
from runtime.standins.reader.link import Link

log = logging.getLogger(__name__)


class Streams:
    """Keep a stream for each reservation at most, in memory that the reservation holds, and only as long as it waits.

    Whatever hinders a stream costs nothing but time: the decode request then reads everything itself.
    """

    def __init__(self, engine: Engine, reservations: Reservations, link: Link) -> None:
        self._engine, self._reservations, self._link = engine, reservations, link
        self._agent = base64.b64encode(link.metadata).decode()
        self._invited: dict[str, Reservation] = {}
        self._inflows: dict[str, Inflow] = {}

    def invite(self, reservation: Reservation) -> dict[str, str]:
        """Return what the gateway is to hand to the worker, the same for the same reservation."""
        self.tend()
        known = (name for name, held in self._invited.items() if held.reservation_id == reservation.reservation_id)
        stream = next(known, None) or secrets.token_urlsafe(16)
        self._invited[stream] = reservation
        return {"id": stream, "agent": self._agent}

    def heard(self, sender: str, message: bytes) -> None:
        """Take a worker's offer; anything else is logged."""
        try:
            offer = Offer.parse(message)
            if offer is None:
                raise ValueError("it is no offer")
            self._follow(offer)
        except ValueError as error:
            log.warning("ignored a notification from %s: %s", sender, error)

    def tend(self) -> bool:
        """Drop what belongs to reservations that wait no more; tell whether there is any stream."""
        waiting = self._reservations.waiting(now=time.monotonic())
        for stream in [name for name, held in self._invited.items() if held.reservation_id not in waiting]:
            del self._invited[stream]
            if inflow := self._inflows.pop(stream, None):
                inflow.drop()
        return bool(self._inflows)

    def take(self, accepted: Accepted, *, tokens: int) -> Inflow | None:
        """Return the stream of a decode request that needs room for ``tokens`` tokens; drop one that is of no use."""
        reservation_id = accepted.ticket.reservation_id
        stream = next((name for name, held in self._invited.items() if held.reservation_id == reservation_id), None)
        self._invited.pop(stream or "", None)
        inflow = self._inflows.pop(stream or "", None)
        if inflow is None or inflow.dropped:
            return None
        if not inflow.is_of(accepted) or tokens > inflow.capacity:
            log.warning("dropped a stream that is not what request %s needs", accepted.ticket.request_id)
            inflow.drop()
            return None
        return inflow

    def close(self) -> None:
        """Drop all streams."""
        for inflow in self._inflows.values():
            inflow.drop()

    def _follow(self, offer: Offer) -> None:
        if inflow := self._inflows.get(offer.stream):
            inflow.hear(offer)
            return
        reservation = self._invited.get(offer.stream)
        if reservation is None:
            return  # it was taken, or has ended: the last offers of a stream come late
        geometry = self._engine.geometry
        capacity = min(offer.tokens + reservation.max_tokens, geometry.context)
        if offer.tokens >= geometry.context or len(offer.front) != geometry.layers:
            raise ValueError(f"an offer of {offer.tokens} tokens in {len(offer.front)} layers does not fit the model")
        size, name = capacity * geometry.kv_bytes_per_token, reservation.reservation_id
        if self._reservations.fill(name, size, now=time.monotonic()):
            release = partial(self._reservations.filled, name)
            self._inflows[offer.stream] = Inflow(offer, self._engine, self._link, capacity=capacity, release=release)
