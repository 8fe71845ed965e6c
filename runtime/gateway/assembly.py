"""Put together what answers requests: decoders, prefill workers, discovery, and what keeps them fresh."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from runtime.gateway.access import keys
from runtime.gateway.access.secrets import INTERVAL_SECONDS as REFRESHED_EVERY
from runtime.gateway.access.secrets import Secrets
from runtime.gateway.answering.dispatch import Dispatch
from runtime.gateway.answering.fleet import Fleet
from runtime.gateway.config import Cs3Config, GatewayConfig, OpenAIConfig, VllmConfig, WorkersConfig
from runtime.gateway.http.client import HttpClient
from runtime.gateway.peers import fill, readiness
from runtime.gateway.peers.discovery import INTERVAL_SECONDS as DISCOVERED_EVERY
from runtime.gateway.peers.discovery import Discovery
from runtime.gateway.peers.polling import polling
from runtime.gateway.peers.replicas import INTERVAL_SECONDS as COUNTED_EVERY
from runtime.gateway.peers.replicas import Replicas
from runtime.gateway.peers.workers import Pool
from runtime.gateway.providers.cs3 import Cs3Decoder
from runtime.gateway.providers.openai import OpenAIDecoder
from runtime.gateway.providers.prefill import Prefill
from runtime.gateway.providers.provider import Decoder, Provider
from runtime.gateway.providers.releases import Releases
from runtime.gateway.providers.retries import Retries
from runtime.gateway.providers.vllm import VllmDecoder
from runtime.gateway.telemetry.metrics import Metrics
from runtime.handoff import background
from runtime.handoff.contract import Code

T = TypeVar("T")


@asynccontextmanager
async def answering(
    config: GatewayConfig, metrics: Metrics, secrets: Secrets, replicas: Replicas, aws: Callable[[str], Any]
) -> AsyncIterator[Provider]:
    """Yield the configured provider, what it knows kept fresh; on leaving, finish clean-ups, then close connections.

    ``aws`` returns a boto3 client of the named service.
    """
    async with AsyncExitStack() as stack:
        client = HttpClient()
        stack.push_async_callback(client.close)
        releases = Releases()
        stack.push_async_callback(releases.drain)
        parts = _Parts(config, metrics, secrets, aws, client, releases, stack, Retries())
        chosen = await parts.dispatch()
        stack.enter_context(polling("secrets", secrets.refresh, REFRESHED_EVERY))
        stack.enter_context(polling("replicas", replicas.refresh, COUNTED_EVERY))
        yield chosen


@dataclass(frozen=True, slots=True)
class _Parts:
    """Hold what every part is made with; what must end with the gateway is entered into ``stack``."""

    config: GatewayConfig
    metrics: Metrics
    secrets: Secrets
    aws: Callable[[str], Any]
    client: HttpClient
    releases: Releases
    stack: AsyncExitStack
    retries: Retries

    async def dispatch(self) -> Dispatch:
        """Return what the configured provider and its spill-over make."""
        spare = self._text(self.config.spill_over, tier=1) if self.config.spill_over else ()
        if isinstance(self.config.provider, OpenAIConfig):
            text = self._text(self.config.provider)
            return self._over(lambda: (*text, *spare), None)
        pool = self._pool(self.config.provider.prefill, "prefill", Code.PREFILL_UNAVAILABLE)
        prefill = Prefill(pool, self.client, queued=self.metrics.queued, retries=self.retries)
        if isinstance(self.config.provider, Cs3Config):
            return await self._over_cs3(self.config.provider, prefill, spare)
        return self._over_vllm(self.config.provider, prefill, spare)

    async def _over_cs3(self, config: Cs3Config, prefill: Prefill, spare: Sequence[Decoder]) -> Dispatch:
        key = self._key(config.secret_arn, keys.endpoint)
        ticket_key = self._key(config.ticket_secret_arn, keys.newest)
        decoders = [
            Cs3Decoder(
                url=url,
                model=config.model,
                lease_seconds=config.lease_seconds,
                prefill=prefill,
                client=self.client,
                releases=self.releases,
                key=key,
                ticket_key=lambda: ticket_key().encode(),
            )
            for url in config.endpoints
        ]
        made = self._over(lambda: (*decoders, *spare), prefill.pool)
        for each in decoders:
            told = partial(self._filled, made.fleet, each.name)
            watch = fill.watch(self.client, each.url, told, key=key)
            await self.stack.enter_async_context(background.running(watch))
        return made

    def _over_vllm(self, config: VllmConfig, prefill: Prefill, spare: Sequence[Decoder]) -> Dispatch:
        pool = self._pool(config.decode, "decode", Code.DECODE_UNAVAILABLE)

        def decoders() -> Sequence[Decoder]:
            made = partial(VllmDecoder, pool=pool, prefill=prefill, client=self.client)
            return [*(made(worker=each) for each in pool.discovered()), *spare]

        return self._over(decoders, prefill.pool)

    def _over(self, decoders: Callable[[], Sequence[Decoder]], prefill: Pool | None) -> Dispatch:
        return Dispatch(Fleet(decoders), prefill, self.client, self.retries, self.config.thresholds)

    def _text(self, config: OpenAIConfig, *, tier: int = 0) -> Sequence[Decoder]:
        key = self._key(config.secret_arn, keys.endpoint)
        return [
            OpenAIDecoder(url=url, model=config.model, client=self.client, key=key, tier=tier)
            for url in config.endpoints
        ]

    def _filled(self, fleet: Fleet, name: str, share: float) -> None:
        fleet.filled(name, share)
        self.metrics.filled(share)

    def _key(self, arn: str, read: Callable[[Sequence[str]], T]) -> Callable[[], T]:
        secret = self.secrets.watch(arn, read)
        return lambda: secret.value

    def _pool(self, workers: WorkersConfig, stage: str, absent: Code) -> Pool:
        worker_keys = self._key(workers.secret_arn, keys.workers)
        discovery = Discovery(
            self.aws("servicediscovery"),
            namespace=workers.namespace,
            service=workers.service,
            ready=lambda address: readiness.ready(address, status_port=workers.status_port, keys=worker_keys()),
        )
        name = f"discovery-{workers.service}"
        self.stack.enter_context(polling(name, discovery.refresh, DISCOVERED_EVERY))
        return Pool(lambda: discovery.workers, discovery.renew, stage=stage, absent=absent)
