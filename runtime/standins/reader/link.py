"""Reach prefill workers: learn where their KV lies, read it, tell them when it may go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from numpy.typing import NDArray

from runtime.handoff import sidechannel
from runtime.handoff.acceptance import Life
from runtime.handoff.contract import HandoffError
from runtime.handoff.sidechannel import NixlAgentMetadata
from runtime.handoff.transport.agent import Agent, Pairs

log = logging.getLogger(__name__)

READ_SECONDS = 10.0  # 8,192 tokens are 189 MB: a hundred times what loopback needs
BUSY_POLL_SECONDS = 0.001
POLL_SECONDS = 0.01  # without a progress thread, what was sent leaves only while somebody polls


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Say where one life of a worker is to be found, and whether it is asked by pipeline rank."""

    host: str
    port: int
    life: Life
    pipelined: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Hold a worker whose handshake succeeded; ``name`` is its agent's, ``compatibility`` vLLM's hash of its kind."""

    address: Address
    name: str
    metadata: NixlAgentMetadata
    life: Life
    compatibility: str


class Link:
    """Share one agent of a transport among all requests; a worker's handshake is kept until something with it fails."""

    def __init__(self, agent: Agent, *, handshake_seconds: float) -> None:
        self._agent = agent
        self._handshake_seconds = handshake_seconds
        self._handshakes: dict[Address, asyncio.Task[Peer]] = {}
        self.metadata = agent.metadata
        """How workers reach the agent, taken before there is memory that they could read."""

    @property
    def provider(self) -> str:
        """What the agent goes by, as it says itself."""
        return self._agent.provider

    async def connect(self, address: Address) -> Peer:
        """Return the worker.

        Raises ``HandoffError``: ``kv_transfer`` if it is out of reach, ``kv_foreign`` if it is another, or restarted.
        """
        if address not in self._handshakes:
            self._handshakes[address] = asyncio.create_task(self._handshake(address))
            self._handshakes[address].add_done_callback(lambda task: self._keep(address, task))
        # shielded: requests that wait for the same handshake do not end with the one that started it
        return await asyncio.shield(self._handshakes[address])

    @contextmanager
    def receiving(self, memory: NDArray[Any], settled: Callable[[], None]) -> Iterator[None]:
        """Let ``read`` write into ``memory``; ``settled`` is called once nothing can any more, perhaps later."""
        registration = self._agent.register(memory)
        try:
            yield
        finally:
            self._agent.deregister(registration, settled)

    async def read(self, peer: Peer, pairs: Pairs, *, seconds: float) -> int:
        """Read into memory that is ``receiving``; return the bytes moved.

        Raises ``HandoffError`` (``kv_transfer``) on failure or after ``seconds``, 10 at most.
        """
        try:
            return await self._agent.read(peer.name, pairs, b"", timeout=min(max(seconds, 0), READ_SECONDS))
        except HandoffError:
            self._forget(peer)
            raise

    def tell(self, peer: Peer, message: bytes) -> None:
        """Send a connected worker a message; raise ``HandoffError`` if it is out of reach."""
        self._agent.notify(peer.name, message)

    async def notify(self, address: Address, message: bytes) -> None:
        """Send a worker a message; raise ``HandoffError`` if it is out of reach or another."""
        peer = await self.connect(address)
        try:
            self._agent.notify(peer.name, message)
        except HandoffError:
            self._forget(peer)
            raise

    async def poll(self, hear: Callable[[str, bytes], None], busy: Callable[[], bool]) -> NoReturn:
        """Let messages leave until cancelled, and ``hear`` those of workers; while ``busy`` look more often."""
        while True:
            try:
                for sender, message in self._agent.notifications():
                    hear(sender, message)
            except HandoffError as error:  # reads report their own failures
                log.warning("cannot poll the transport: %s", error)
            await asyncio.sleep(BUSY_POLL_SECONDS if busy() else POLL_SECONDS)

    async def _handshake(self, address: Address) -> Peer:
        answer = await sidechannel.fetch(
            address.host,
            address.port,
            pp_rank=0 if address.pipelined else None,
            timeout=self._handshake_seconds,
        )
        address.life.check(answer.life)
        name = self._agent.add_remote(answer.metadata.agent_metadata)
        log.info("handshake host=%s port=%d engine_id=%s", address.host, address.port, address.life.engine_id)
        return Peer(
            address=address,
            name=name,
            metadata=answer.metadata,
            life=answer.life,
            compatibility=answer.compatibility_hash,
        )

    def _keep(self, address: Address, handshake: asyncio.Task[Peer]) -> None:
        if handshake.cancelled() or handshake.exception():
            del self._handshakes[address]

    def _forget(self, peer: Peer) -> None:
        """Make the next request shake hands anew."""
        if self._handshakes.pop(peer.address, None):
            self._agent.remove_remote(peer.name)
