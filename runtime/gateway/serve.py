"""Put the gateway together, run it, and end it in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runtime.gateway.access import keys
from runtime.gateway.access.secrets import Secrets
from runtime.gateway.access.tenants import Keyring
from runtime.gateway.api.http_server import Gateway
from runtime.gateway.api.scrape import scraped
from runtime.gateway.assembly import answering
from runtime.gateway.config import GatewayConfig
from runtime.gateway.peers.replicas import Replicas
from runtime.gateway.request.tokenizer import Tokenizer, TokenizerError
from runtime.gateway.telemetry import log, tracing
from runtime.gateway.telemetry.metrics import Metrics
from runtime.handoff import periods
from runtime.handoff.certificate import Certificate

DRAIN_SECONDS: Final = 45.0
"""How long running requests may go on after SIGTERM; the rest of ECS's stop timeout (60 s) is for clean-up."""
_LAST_WORDS_SECONDS: Final = 3.0
_NEW_OBJECTS: Final = 20_000
"""How many more objects there must be than at the last collection for the next one: a few MB; Python's own are 700."""


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
    tokenizer = await asyncio.to_thread(_tokenizer, config.tokenizer) if config.tokenizer else None
    metrics = Metrics(deployment=config.deployment, model=config.model)
    cloud_map, at_first = _client("servicediscovery"), config.admission.gateways
    replicas = Replicas(cloud_map, namespace=config.namespace, service=config.service, at_first=at_first)

    async def publish(began: float) -> None:
        log.write_line(metrics.take_line(began).encode())

    async with (
        tracing.exporting(os.environ),
        periods.publishing(publish),
        scraped(metrics.exposition, host, config.metrics_port),
        answering(config, metrics, secrets, replicas, _client) as chosen,
    ):
        gateway = Gateway(config, chosen, metrics, known, lambda: replicas.count, tokenizer)
        server = gateway.server()
        try:
            tls = Certificate.issue(host).server()  # which the load balancer takes as it comes: it verifies no target
            await server.start(host, config.port, tls)
            settle()
            log.write("listening", address=f"{host}:{config.port}", model=config.model)
            await stopped.wait()
            log.write("stopping")
            gateway.stopping.begin(DRAIN_SECONDS)
        finally:
            await server.stop(DRAIN_SECONDS + _LAST_WORDS_SECONDS)
            gateway.lines.flush()


def _tokenizer(uri: str) -> Tokenizer | None:
    """Return the model's tokenizer, None where it cannot be had: prompts are estimated then, and no client waits."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        tokenizer = Tokenizer.read(_client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    except (BotoCoreError, ClientError, TokenizerError) as error:
        log.write("tokenizer_unusable", source=uri, reason=f"{error}: prompts are estimated")
        return None
    log.write("tokenizer", source=uri, sha256=tokenizer.digest)
    return tokenizer


def settle() -> None:
    """Keep the garbage collector from requests, once all is there.

    To look at all that was imported takes some 50 ms, in which no stream goes on; what requests leave behind is seldom
    garbage that counting references does not free.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


def _tenants(config: GatewayConfig, secrets: Secrets) -> Callable[[], Sequence[Keyring]]:
    """Return a function that returns the tenants of the moment, AgentCore's among them where it is registered."""
    clients = secrets.watch(config.tenants_secret_arn, keys.clients)
    if config.agentcore_secret_arn is None:
        return lambda: (clients.value,)
    agentcore = secrets.watch(config.agentcore_secret_arn, keys.agentcore)
    return lambda: (agentcore.value, clients.value)


def _client(service: str) -> Any:
    config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
    # ECS tells a task its region as AWS_REGION, which boto3 does not read
    return boto3.client(service, region_name=os.environ.get("AWS_REGION"), config=config)
