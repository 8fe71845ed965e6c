"""Reach prefill workers: learn where their KV lies, read it, tell them when it may go."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, NoReturn

from numpy.typing import NDArray

from runtime.handoff import sidechannel
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.nixl import Agent, Pair
from runtime.handoff.sidechannel import NixlAgentMetadata

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 5.0  # vLLM's own limit
READ_SECONDS = 10.0  # 8,192 tokens are 189 MB: a hundred times what loopback needs
POLL_SECONDS = 0.01  # without a progress thread, what was sent leaves only while somebody polls


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Name one life of one worker: a restarted one has a new generation, empty where a stock vLLM tells none."""

    host: str
    port: int
    engine_id: str
    generation: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Hold a worker whose handshake succeeded; ``name`` is its NIXL agent's."""

    address: Address
    name: str
    metadata: NixlAgentMetadata


class Link:
    """Share one NIXL agent among all requests; a worker's handshake is kept until something with it fails."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._handshakes: dict[Address, asyncio.Task[Peer]] = {}

    async def connect(self, address: Address) -> Peer:
        """Return the worker.

        Raises ``HandoffError``: ``kv_transfer`` if it is out of reach, ``kv_foreign`` if it is another engine.
        """
        if address not in self._handshakes:
            self._handshakes[address] = asyncio.create_task(self._handshake(address))
            self._handshakes[address].add_done_callback(lambda task: self._keep(address, task))
        # shielded: requests that wait for the same handshake do not end with the one that started it
        return await asyncio.shield(self._handshakes[address])

    async def read(self, peer: Peer, pairs: list[Pair], cache: NDArray[Any], done: bytes) -> int:
        """Read ``pairs`` into ``cache``, then send the worker ``done``; return the bytes moved.

        Raises ``HandoffError`` (``kv_transfer``) on failure or after 10 s; the worker was not told then.
        """
        registration = self._agent.register(cache)
        try:
            return await self._agent.read(peer.name, pairs, done, timeout=READ_SECONDS)
        except HandoffError:
            self._forget(peer)
            raise
        finally:
            self._agent.deregister(registration)

    async def notify(self, address: Address, message: bytes) -> None:
        """Send a worker a message; raise ``HandoffError`` if it is out of reach or another engine."""
        peer = await self.connect(address)
        try:
            self._agent.notify(peer.name, message)
        except HandoffError:
            self._forget(peer)
            raise

    async def poll(self) -> NoReturn:
        """Let messages leave until cancelled; nothing is expected from workers."""
        while True:
            try:
                for sender, message in self._agent.notifications():
                    log.warning("unexpected notification from %s: %r", sender, message[:80])
            except HandoffError as error:  # reads report their own failures
                log.warning("cannot poll NIXL: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    async def _handshake(self, address: Address) -> Peer:
        answer = await sidechannel.fetch(address.host, address.port, timeout=HANDSHAKE_SECONDS)
        if answer.metadata.engine_id != address.engine_id:
            raise HandoffError(
                Code.KV_FOREIGN,
                f"{address.host}:{address.port} is engine {answer.metadata.engine_id!r}, the KV is of "
                f"{address.engine_id!r}: prefill again",
            )
        if address.generation != (answer.metadata.tandem_generation or address.generation):
            raise HandoffError(
                Code.KV_FOREIGN, f"{address.host}:{address.port} has restarted since it prefilled: prefill again"
            )
        name = self._agent.add_remote(answer.metadata.agent_metadata)
        log.info("handshake host=%s port=%d engine_id=%s", address.host, address.port, address.engine_id)
        return Peer(address=address, name=name, metadata=answer.metadata)

    def _keep(self, address: Address, handshake: asyncio.Task[Peer]) -> None:
        if handshake.cancelled() or handshake.exception():
            del self._handshakes[address]

    def _forget(self, peer: Peer) -> None:
        """Make the next request shake hands anew."""
        if self._handshakes.pop(peer.address, None):
            self._agent.remove_remote(peer.name)
