"""A gateway in this process between real HTTP peers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import uvloop
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.gateway.access.tenants import Keyring, Tenant, digest
from runtime.gateway.admission import turnstile
from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.answering.dispatch import Dispatch
from runtime.gateway.answering.fleet import Fleet
from runtime.gateway.api.http_server import Gateway
from runtime.gateway.config import GatewayConfig, OpenAIConfig
from runtime.gateway.http import client as http_client
from runtime.gateway.http import peer_connection
from runtime.gateway.http.client import HttpClient
from runtime.gateway.http.server import Server
from runtime.gateway.peers.workers import Address, Pool, Worker
from runtime.gateway.providers.cs3 import Cs3Decoder
from runtime.gateway.providers.openai import OpenAIDecoder
from runtime.gateway.providers.prefill import Prefill
from runtime.gateway.providers.provider import Decoder
from runtime.gateway.providers.releases import Releases
from runtime.gateway.providers.retries import Retries
from runtime.gateway.providers.vllm import VllmDecoder
from runtime.gateway.request.tokenizer import Tokenizer
from runtime.gateway.routing.disaggregation import Thresholds
from runtime.gateway.telemetry import tracing
from runtime.gateway.telemetry.metrics import Metrics
from runtime.handoff import worker_client
from runtime.handoff.certificate import Certificate
from runtime.handoff.contract import CHAT_COMPLETIONS, COMPLETIONS, Code
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.standin_peers import CERTIFICATE, HOST, WORKER_KEY, DecodePeer, PrefillPeer, serving


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on the event loop that the gateway runs on; its timers cannot be set forward, those of asyncio can."""
    clock = "forward" in getattr(item, "fixturenames", ())
    return {"asyncio": asyncio.new_event_loop} if clock else {"uvloop": uvloop.new_event_loop}


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
    others: list[DecodePeer]
    spare: DecodePeer
    spills_over: bool = False
    routes: set[tuple[str, str]] = field(default_factory=set)
    gateway: Gateway = field(init=False)

    def ask(self, *, headers: dict[str, str] | None = None, **body: Any) -> Any:
        """Send a chat completion with the right key, or where only a prompt is given a completion of text."""
        text = "prompt" in body and "messages" not in body
        asked = {} if text else {"messages": [{"role": "user", "content": "Hello"}]}
        path = COMPLETIONS if text else CHAT_COMPLETIONS
        sent = {"Authorization": f"Bearer {GATEWAY_KEY}", **(headers or {})}
        return self.session.post(self.url + path, json={"model": MODEL, **asked, **body}, headers=sent)


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


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Keep every span."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    return kept


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine that stands still for a while fail no peer, nor change when a tenant may come again."""
    monkeypatch.setattr(turnstile, "time", SimpleNamespace(monotonic=_still))
    monkeypatch.setattr(http_client, "_CONNECT_SECONDS", HUNG_SECONDS)
    monkeypatch.setattr(peer_connection, "KEEP_ALIVE_SECONDS", HUNG_SECONDS)
    monkeypatch.setattr(worker_client, "_SECONDS", HUNG_SECONDS)


Forward = Callable[[float], None]


@pytest.fixture
async def forward(monkeypatch: pytest.MonkeyPatch) -> Forward:
    """Return what sets the event loop's clock forward: limits are reached when a test says so, not by waiting."""
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0

    def forward(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(loop, "time", lambda: real() + ahead)
    return forward


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
    """Start a gateway with the named provider, and as many decode peers of it as asked for."""
    async with AsyncExitStack() as stack:

        async def run(
            name: str,
            admission: AdmissionConfig | None = None,
            tenants: Sequence[Tenant] = TENANTS,
            *,
            peers: int = 1,
            replicas: Callable[[], int] = lambda: 1,
            tokenizer: Tokenizer | None = None,
        ) -> Setup:
            prefill, spare = PrefillPeer(), DecodePeer()
            decoders = [DecodePeer() for _ in range(peers)]
            secure = CERTIFICATE if name == "vllm" else None  # an endpoint's authority is for its operator to name

            async def served(peer: PrefillPeer | DecodePeer, certificate: Certificate | None) -> int:
                server = await stack.enter_async_context(serving(peer.application(), certificate))
                assert server.port is not None
                return server.port

            workers = [worker(await served(prefill, CERTIFICATE))]
            ports = [await served(each, secure) for each in decoders]
            spare_url = f"http://{HOST}:{await served(spare, None)}"
            client, releases = HttpClient(), Releases()
            stack.push_async_callback(client.close)
            stack.push_async_callback(releases.drain)
            metrics = Metrics(deployment="small", model=MODEL)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            setup = Setup("", prefill, decoders[0], workers, session, releases, metrics, decoders[1:], spare)
            provider = _dispatch(setup, name, [worker(port) for port in ports], spare_url, client)
            settings = config(admission or AdmissionConfig())
            setup.gateway = Gateway(settings, provider, metrics, lambda: (Keyring(tenants),), replicas, tokenizer)
            server = await stack.enter_async_context(listening(setup.gateway))
            setup.url = f"http://{HOST}:{server.port}"
            setup.routes = {*setup.gateway.routes(), *setup.gateway.open_routes()}
            return setup

        yield run


@pytest.fixture
async def cs3(start: Start) -> Setup:
    setup: Setup = await start("cs3")
    return setup


@asynccontextmanager
async def listening(gateway: Gateway) -> AsyncIterator[Server]:
    """Serve as the gateway's process does, without TLS; every request still running at the end is cancelled."""
    server = gateway.server()
    await server.start(HOST, 0)
    try:
        yield server
    finally:
        await server.stop(0.1)


def _dispatch(setup: Setup, name: str, decoders: list[Worker], spare: str, client: HttpClient) -> Dispatch:
    retries = Retries(_still)
    prefillers = lambda: setup.prefill_workers  # noqa: E731 - asked at each request
    pool = Pool(prefillers, lambda _: None, stage="prefill", absent=Code.PREFILL_UNAVAILABLE, clock=_still)
    prefill = Prefill(pool, client, queued=setup.metrics.queued, retries=retries)
    text = OpenAIDecoder(url=spare, model="other-name", client=client, key=lambda: "spare-key", tier=1)

    def cs3(worker: Worker) -> Decoder:
        return Cs3Decoder(
            url=f"http://{worker}",
            model=MODEL,
            lease_seconds=30,
            prefill=prefill,
            client=client,
            releases=setup.releases,
            key=lambda: "decode-key",
            ticket_key=lambda: TICKET_KEY,
        )

    def openai(worker: Worker) -> Decoder:
        return OpenAIDecoder(url=f"http://{worker}", model="other-name", client=client, key=lambda: "decode-key")

    def vllm(worker: Worker) -> Decoder:
        return VllmDecoder(worker=worker, pool=decode_pool, prefill=prefill, client=client)

    decode_pool = Pool(lambda: decoders, lambda _: None, stage="decode", absent=Code.DECODE_UNAVAILABLE, clock=_still)
    made = [{"cs3": cs3, "openai": openai, "vllm": vllm}[name](worker) for worker in decoders]
    known = lambda: [*made, text] if setup.spills_over else made  # noqa: E731 - asked at each request
    return Dispatch(Fleet(known, _still), pool if name != "openai" else None, client, retries, Thresholds())


def _still() -> float:
    """Return the same moment always: who failed, or was full, a moment ago is so still, however long that takes."""
    return 0.0


def config(admission: AdmissionConfig) -> GatewayConfig:
    """Return what the gateway between these peers is configured with."""
    return GatewayConfig(
        deployment="small",
        region="us-east-2",
        model=MODEL,
        max_model_len=4096,
        tokenizer=None,
        port=1,
        metrics_port=2,
        namespace="small.internal",
        service="gateway",
        tenants_secret_arn="arn",
        agentcore_secret_arn=None,
        admission=admission,
        provider=OpenAIConfig(endpoints=("http://unused",), model="unused", secret_arn="arn"),
        spill_over=None,
        thresholds=Thresholds(),
    )
