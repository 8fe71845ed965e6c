"""A gateway in this process between real HTTP peers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.config import Cs3Config, GatewayConfig, OpenAIConfig, ProviderConfig, VllmConfig, WorkersConfig
from runtime.gateway.http_client import AiohttpClient
from runtime.gateway.http_server import Gateway
from runtime.gateway.metrics import Metrics
from runtime.gateway.prefill import Prefill
from runtime.gateway.providers.cs3 import Cs3Provider
from runtime.gateway.providers.openai import OpenAIProvider
from runtime.gateway.providers.provider import Provider
from runtime.gateway.providers.vllm import VllmProvider
from runtime.gateway.releases import Releases
from runtime.gateway.tenants import Tenant, digest
from runtime.gateway.workers import Address, Pool, Worker
from runtime.handoff.contract import CHAT_COMPLETIONS, Code
from tests.runtime.gateway.peers import CERTIFICATE, HOST, WORKER_KEY, DecodePeer, PrefillPeer, serving

MODEL = "org/model"
GATEWAY_KEY = "client-key"
TENANT = "acme"
TICKET_KEY = b"ticket-key"
KEY_ID, SECRET = "TANDEM1", "secret"
TENANTS = (Tenant(id=TENANT, keys=(digest(GATEWAY_KEY),), signing={KEY_ID: SECRET}),)


@dataclass
class Setup:
    """Hold a running gateway and its peers; ``prefill_workers`` may be changed."""

    url: str
    prefill: PrefillPeer
    decode: DecodePeer
    prefill_workers: list[Worker]
    session: aiohttp.ClientSession
    releases: Releases
    metrics: Metrics
    routes: set[tuple[str, str]]

    def ask(self, *, headers: dict[str, str] | None = None, **body: Any) -> Any:
        """Send a chat completion with the right key."""
        given = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **body}
        sent = {"Authorization": f"Bearer {GATEWAY_KEY}", **(headers or {})}
        return self.session.post(self.url + CHAT_COMPLETIONS, json=given, headers=sent)


class Captured:
    """Read the gateway's log lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._lines: list[str] = []

    def requests(self) -> list[dict[str, Any]]:
        """Return every access log line so far."""
        return [line for line in map(json.loads, self.text().splitlines()) if line["event"] == "request"]

    def text(self) -> str:
        """Return everything on stdout so far."""
        self._lines.append(self._capsys.readouterr().out)
        return "".join(self._lines)


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Captured:
    return Captured(capsys)


Start = Callable[..., Any]


def worker(port: int) -> Worker:
    """Return a worker with the peers' certificate."""
    return Worker(Address(HOST, port), CERTIFICATE.digest, WORKER_KEY)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with starting() as run:
        yield run


@asynccontextmanager
async def starting() -> AsyncIterator[Start]:
    """Start a gateway with the named provider."""
    async with AsyncExitStack() as stack:

        async def run(
            name: str, admission: AdmissionConfig | None = None, tenants: Sequence[Tenant] = TENANTS
        ) -> Setup:
            prefill, decode = PrefillPeer(), DecodePeer()
            secure = CERTIFICATE if name == "vllm" else None  # an endpoint's authority is for its operator to name
            prefill_server = await stack.enter_async_context(serving(prefill.application(), CERTIFICATE))
            decode_server = await stack.enter_async_context(serving(decode.application(), secure))
            assert prefill_server.port is not None
            assert decode_server.port is not None
            workers = [worker(prefill_server.port)]
            decoders = [worker(decode_server.port)]
            client = AiohttpClient()
            releases = Releases()
            stack.push_async_callback(client.close)
            stack.push_async_callback(releases.drain)
            metrics = Metrics(deployment="small", model=MODEL)
            provider = _provider(name, workers, decoders, client, releases, metrics)
            config = _config(provider[0], admission or AdmissionConfig())
            app = Gateway(config, provider[1], metrics, lambda: tenants).application()
            gateway = await stack.enter_async_context(serving(app))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            url, routes = f"http://127.0.0.1:{gateway.port}", _routes(app)
            return Setup(url, prefill, decode, workers, session, releases, metrics, routes)

        yield run


@pytest.fixture
async def cs3(start: Start) -> Setup:
    setup: Setup = await start("cs3")
    return setup


def _routes(app: web.Application) -> set[tuple[str, str]]:
    """Return methods and paths; aiohttp adds HEAD to each GET."""
    routes = [(route.method, route.resource) for route in app.router.routes() if route.method != "HEAD"]
    return {(method, resource.canonical) for method, resource in routes if resource is not None}


def _provider(
    name: str,
    workers: list[Worker],
    decoders: list[Worker],
    client: AiohttpClient,
    releases: Releases,
    metrics: Metrics,
) -> tuple[ProviderConfig, Provider]:
    where = WorkersConfig(namespace="n", service="s", status_port=1, secret_arn="arn")
    pool = Pool(lambda: workers, lambda _: None, stage="prefill", absent=Code.PREFILL_UNAVAILABLE)
    prefill = Prefill(pool, client, queued=metrics.queued)
    endpoint = f"http://{decoders[0]}"
    if name == "openai":
        text = OpenAIConfig(endpoint=endpoint, model="other-name", secret_arn="arn")
        return text, OpenAIProvider(text, client, key=lambda: "decode-key")
    if name == "vllm":
        decode_pool = Pool(lambda: decoders, lambda _: None, stage="decode", absent=Code.DECODE_UNAVAILABLE)
        return VllmConfig(prefill=where, decode=where), VllmProvider(prefill, decode_pool, client)
    kv = Cs3Config(
        prefill=where,
        lease_seconds=30,
        endpoint=endpoint,
        model=MODEL,
        secret_arn="arn",
        ticket_secret_arn="arn",
    )
    return kv, Cs3Provider(kv, prefill, client, releases, key=lambda: "decode-key", ticket_key=lambda: TICKET_KEY)


def _config(provider: ProviderConfig, admission: AdmissionConfig) -> GatewayConfig:
    return GatewayConfig(
        deployment="small",
        region="us-east-2",
        model=MODEL,
        max_model_len=4096,
        port=1,
        metrics_port=2,
        tenants_secret_arn="arn",
        agentcore_secret_arn=None,
        admission=admission,
        provider=provider,
    )
