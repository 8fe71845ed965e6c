"""Offer KV to decode endpoints while it is computed."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from runtime.handoff.contract import HandoffError
from runtime.handoff.stream import MESSAGE_BYTES, Credit, Offer, Telling
from runtime.handoff.transport.agent import Agent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stream:
    remote: str
    telling: Telling


class Streams:
    """Tell endpoints by their agents, as fast as they give credit; what fails costs the stream and nothing else."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._remotes: dict[bytes, str] = {}
        self._open: dict[str, _Stream] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def opened(self, offer: Offer, agent: str, *, layers: int) -> Iterator[Telling | None]:
        """Yield what to tell an endpoint by, whose encoded agent metadata is ``agent``; None where it is unusable."""
        telling = Telling(offer, layers)
        try:
            if len(offer.message()) > MESSAGE_BYTES:
                raise ValueError(f"an offer of {len(offer.blocks)} blocks is too long")
            self._open[offer.stream] = _Stream(self._connect(base64.b64decode(agent, validate=True)), telling)
        except (ValueError, HandoffError) as error:
            log.warning("no stream for %s: %s", offer.request_id, error)
            yield None
            return
        try:
            yield telling
        finally:
            self._tell(offer.stream)  # the last layers, where there is credit: the endpoint need not wait to be asked
            self._open.pop(offer.stream, None)

    def tell(self) -> None:
        """Tell all that is due."""
        for stream in list(self._open):
            self._tell(stream)

    def credited(self, credit: Credit) -> None:
        """Take credit back."""
        if found := self._open.get(credit.stream):
            found.telling.credited(credit.number)

    def _connect(self, metadata: bytes) -> str:
        if metadata not in self._remotes:
            self._remotes[metadata] = self._agent.add_remote(metadata)
        return self._remotes[metadata]

    def _tell(self, stream: str) -> None:
        if (found := self._open.get(stream)) is None:
            return
        try:
            while offer := found.telling.due():
                self._agent.notify(found.remote, offer.message())
        except HandoffError as error:
            log.warning("stream for %s ends: %s", found.telling.offer.request_id, error)
            del self._open[stream]
            self._forget(found.remote)

    def _forget(self, remote: str) -> None:
        """Make the next stream to this endpoint connect anew."""
        self._remotes = {metadata: name for metadata, name in self._remotes.items() if name != remote}
        try:
            self._agent.remove_remote(remote)
        except HandoffError as error:
            log.warning("endpoint %s cannot be removed: %s", remote, error)
