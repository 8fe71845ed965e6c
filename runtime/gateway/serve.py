"""Put the gateway together, run it, and end it in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeVar

import boto3
from aiohttp import web
from botocore.config import Config

from runtime.gateway import fill, keys, log, readiness, tracing
from runtime.gateway.config import Cs3Config, GatewayConfig, OpenAIConfig, ProviderConfig, WorkersConfig
from runtime.gateway.discovery import Discovery
from runtime.gateway.http_client import AiohttpClient
from runtime.gateway.http_server import Gateway
from runtime.gateway.metrics import Metrics
from runtime.gateway.prefill import Prefill
from runtime.gateway.providers.cs3 import Cs3Provider
from runtime.gateway.providers.openai import OpenAIProvider
from runtime.gateway.providers.provider import Provider
from runtime.gateway.providers.vllm import VllmProvider
from runtime.gateway.releases import Releases
from runtime.gateway.scrape import scraped
from runtime.gateway.secrets import Secrets
from runtime.gateway.tenants import Tenant
from runtime.gateway.upstream import Client
from runtime.gateway.workers import Pool
from runtime.handoff import periods
from runtime.handoff.certificate import Certificate
from runtime.handoff.contract import Code

T = TypeVar("T")
DRAIN_SECONDS: Final = 20.0
"""How long running requests may go on after SIGTERM; the rest of ECS's stop timeout is for clean-up."""


async def serve(config: GatewayConfig, host: str) -> None:
    """Serve until SIGTERM or SIGINT.

    Raise ``OSError`` where the address cannot be listened on, ``SecretError`` where a secret cannot be read.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    secrets = Secrets(_client("secretsmanager"))
    known = _tenants(config, secrets)
    metrics = Metrics(deployment=config.deployment, model=config.model)

    async def publish(began: float) -> None:
        log.write_line(metrics.take_line(began))

    async with (
        tracing.exporting(os.environ),
        periods.publishing(publish),
        scraped(metrics.exposition, host, config.metrics_port),
        provider(config.provider, metrics, secrets) as chosen,
    ):
        runner = web.AppRunner(
            Gateway(config, chosen, metrics, known).application(),
            handler_cancellation=True,  # a client that leaves ends its handler, and so what peers hold for it
            access_log=None,
            shutdown_timeout=DRAIN_SECONDS,
        )
        await runner.setup()
        try:
            tls = Certificate.issue(host).server()  # which the load balancer takes as it comes: it verifies no target
            await web.TCPSite(runner, host, config.port, ssl_context=tls).start()
            log.write("listening", address=f"{host}:{config.port}", model=config.model)
            await stopped.wait()
            log.write("stopping")
        finally:
            await runner.cleanup()


@asynccontextmanager
async def provider(config: ProviderConfig, metrics: Metrics, secrets: Secrets) -> AsyncIterator[Provider]:
    """Yield the configured provider, what it knows kept fresh; on leaving, finish clean-ups, then close connections."""
    async with AsyncExitStack() as stack:
        client = AiohttpClient()
        stack.push_async_callback(client.close)
        releases = Releases()
        stack.push_async_callback(releases.drain)
        chosen = await _chosen(config, metrics, secrets, client, releases, stack)
        secrets.start()
        stack.callback(secrets.stop)
        yield chosen


async def _chosen(
    config: ProviderConfig,
    metrics: Metrics,
    secrets: Secrets,
    client: Client,
    releases: Releases,
    stack: AsyncExitStack,
) -> Provider:
    if isinstance(config, OpenAIConfig):
        return OpenAIProvider(config, client, key=_key(secrets, config.secret_arn, keys.endpoint))
    prefill_pool = _pool(stack, config.prefill, secrets, "prefill", Code.PREFILL_UNAVAILABLE)
    prefill = Prefill(prefill_pool, client, queued=metrics.queued)
    if isinstance(config, Cs3Config):
        key = _key(secrets, config.secret_arn, keys.endpoint)
        ticket_key = _key(secrets, config.ticket_secret_arn, keys.newest)
        await stack.enter_async_context(fill.watching(client, config.endpoint, metrics.filled, key=key))
        return Cs3Provider(config, prefill, client, releases, key=key, ticket_key=lambda: ticket_key().encode())
    decode_pool = _pool(stack, config.decode, secrets, "decode", Code.DECODE_UNAVAILABLE)
    return VllmProvider(prefill, decode_pool, client)


def _tenants(config: GatewayConfig, secrets: Secrets) -> Callable[[], Iterable[Tenant]]:
    """Return a function that returns the tenants of the moment, AgentCore's among them where it is registered."""
    clients = secrets.watch(config.tenants_secret_arn, keys.clients)
    if config.agentcore_secret_arn is None:
        return lambda: clients.value
    agentcore = secrets.watch(config.agentcore_secret_arn, keys.agentcore)
    return lambda: (*agentcore.value, *clients.value)


def _key(secrets: Secrets, arn: str, read: Callable[[Sequence[str]], T]) -> Callable[[], T]:
    secret = secrets.watch(arn, read)
    return lambda: secret.value


def _pool(stack: AsyncExitStack, workers: WorkersConfig, secrets: Secrets, stage: str, absent: Code) -> Pool:
    worker_keys = _key(secrets, workers.secret_arn, keys.workers)
    discovery = Discovery(
        _client("servicediscovery"),
        namespace=workers.namespace,
        service=workers.service,
        ready=lambda address: readiness.ready(address, status_port=workers.status_port, keys=worker_keys()),
    )
    discovery.start()
    stack.callback(discovery.stop)
    return Pool(lambda: discovery.workers, discovery.renew, stage=stage, absent=absent)


def _client(service: str) -> Any:
    config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
    # ECS tells a task its region as AWS_REGION, which boto3 does not read
    return boto3.client(service, region_name=os.environ.get("AWS_REGION"), config=config)
