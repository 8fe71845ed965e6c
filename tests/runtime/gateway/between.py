"""A gateway in this process between real endpoints of the contract and a real worker, each a process of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from runtime.gateway.access.tenants import Keyring
from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.answering.dispatch import Dispatch
from runtime.gateway.answering.fleet import Fleet
from runtime.gateway.api.http_server import Gateway
from runtime.gateway.http.client import HttpClient
from runtime.gateway.peers.workers import Address, Pool, Worker
from runtime.gateway.providers.cs3 import Cs3Decoder
from runtime.gateway.providers.prefill import Prefill
from runtime.gateway.providers.provider import Decoder
from runtime.gateway.providers.releases import Releases
from runtime.gateway.providers.retries import Retries
from runtime.gateway.providers.vllm import VllmDecoder
from runtime.gateway.routing.disaggregation import Thresholds
from runtime.gateway.telemetry.metrics import Metrics
from runtime.handoff.certificate import Certificate
from runtime.handoff.contract import Code
from tests.patience import LONG_SECONDS
from tests.runtime.gateway.conftest import TENANTS, config, listening
from tests.runtime.standins.cs3 import flow

CERTIFICATE = Certificate.issue(flow.WORKER_HOST)
"""The worker's."""


@asynccontextmanager
async def between(decode: Iterable[str], worker: str, *, provider: str = "cs3") -> AsyncIterator[str]:
    """Run the gateway on a real socket before endpoints of a provider; yield its URL."""
    async with AsyncExitStack() as stack:
        client, releases, retries = HttpClient(), Releases(), Retries()
        stack.push_async_callback(client.close)
        stack.push_async_callback(releases.drain)
        metrics = Metrics(deployment="small", model=flow.MODEL)
        pool = _pool([worker], "prefill", Code.PREFILL_UNAVAILABLE)
        prefill = Prefill(pool, client, queued=metrics.queued, retries=retries)

        def cs3(url: str) -> Decoder:
            return Cs3Decoder(
                url=url,
                model=flow.MODEL,
                lease_seconds=LONG_SECONDS,
                prefill=prefill,
                client=client,
                releases=releases,
                key=lambda: flow.DECODE_KEY,
                ticket_key=flow.TICKET_KEY.encode,
            )

        def vllm(url: str) -> Decoder:
            return VllmDecoder(worker=_worker(url), pool=decode_pool, prefill=prefill, client=client)

        decode = [*decode]
        decode_pool = _pool(decode, "decode", Code.DECODE_UNAVAILABLE)
        decoders = [{"cs3": cs3, "vllm": vllm}[provider](url) for url in decode]
        dispatch = Dispatch(Fleet(lambda: decoders), pool, client, retries, Thresholds())
        settings = dataclasses.replace(config(AdmissionConfig()), model=flow.MODEL, max_model_len=8192)
        gateway = Gateway(settings, dispatch, metrics, lambda: (Keyring(TENANTS),), lambda: 1)
        server = await stack.enter_async_context(listening(gateway))
        yield f"http://127.0.0.1:{server.port}"


def _worker(url: str) -> Worker:
    return Worker(Address(flow.WORKER_HOST, urlsplit(url).port or 0), CERTIFICATE.digest, flow.WORKER_KEY)


def _pool(urls: Iterable[str], stage: str, absent: Code) -> Pool:
    workers = [_worker(url) for url in urls]
    return Pool(lambda: workers, lambda _: None, stage=stage, absent=absent)
