"""Put the gateway together, run it, and end it in order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

import boto3
from aiohttp import web
from botocore.config import Config

from runtime.gateway import fill, log, readiness
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
from runtime.gateway.workers import Pool
from runtime.handoff import periods
from runtime.handoff.contract import Code

DRAIN_SECONDS: Final = 20.0
"""How long running requests may go on after SIGTERM; the rest of ECS's stop timeout is for clean-up."""


async def serve(config: GatewayConfig, host: str) -> None:
    """Serve until SIGTERM or SIGINT; raise ``OSError`` where the address cannot be listened on."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    metrics = Metrics(deployment=config.deployment, model=config.model)

    async def publish(began: float) -> None:
        log.write_line(metrics.take_line(began))

    async with (
        periods.publishing(publish),
        scraped(metrics.exposition, host, config.metrics_port),
        provider(config.provider, metrics) as chosen,
    ):
        runner = web.AppRunner(
            Gateway(config, chosen, metrics).application(),
            handler_cancellation=True,  # a client that leaves ends its handler, and so what peers hold for it
            access_log=None,
            shutdown_timeout=DRAIN_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, config.port).start()
            log.write("listening", address=f"{host}:{config.port}", model=config.model)
            await stopped.wait()
            log.write("stopping")
        finally:
            await runner.cleanup()


@asynccontextmanager
async def provider(config: ProviderConfig, metrics: Metrics) -> AsyncIterator[Provider]:
    """Yield the configured provider, discovery running; on leaving, finish clean-ups, then close connections."""
    async with AsyncExitStack() as stack:
        client = AiohttpClient()
        stack.push_async_callback(client.close)
        releases = Releases()
        stack.push_async_callback(releases.drain)
        if isinstance(config, OpenAIConfig):
            yield OpenAIProvider(config, client)
            return
        prefill_pool = _pool(stack, config.prefill, "prefill", Code.PREFILL_UNAVAILABLE)
        prefill = Prefill(prefill_pool, client, key=config.prefill.key, queued=metrics.queued)
        if isinstance(config, Cs3Config):
            await stack.enter_async_context(fill.watching(client, config, metrics.filled))
            yield Cs3Provider(config, prefill, client, releases)
        else:
            decode_pool = _pool(stack, config.decode, "decode", Code.DECODE_UNAVAILABLE)
            yield VllmProvider(prefill, decode_pool, client, decode_key=config.decode.key)


def _pool(stack: AsyncExitStack, workers: WorkersConfig, stage: str, absent: Code) -> Pool:
    discovery = Discovery(
        _cloud_map(),
        namespace=workers.namespace,
        service=workers.service,
        ready=partial(readiness.ready, status_port=workers.status_port),
    )
    discovery.start()
    stack.callback(discovery.stop)
    return Pool(lambda: discovery.workers, stage=stage, absent=absent)


def _cloud_map() -> Any:
    config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
    # ECS tells a task its region as AWS_REGION, which boto3 does not read
    return boto3.client("servicediscovery", region_name=os.environ.get("AWS_REGION"), config=config)
