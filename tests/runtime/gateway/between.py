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
from runtime.gateway.providers.releases import Releases
from runtime.gateway.providers.retries import Retries
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
async def between(endpoints: Iterable[str], worker: str) -> AsyncIterator[str]:
    """Run the gateway on a real socket; yield its URL."""
    async with AsyncExitStack() as stack:
        client, releases, retries = HttpClient(), Releases(), Retries()
        stack.push_async_callback(client.close)
        stack.push_async_callback(releases.drain)
        metrics = Metrics(deployment="small", model=flow.MODEL)
        one = Worker(Address(flow.WORKER_HOST, urlsplit(worker).port or 0), CERTIFICATE.digest, flow.WORKER_KEY)
        pool = Pool(lambda: [one], lambda _: None, stage="prefill", absent=Code.PREFILL_UNAVAILABLE)
        decoders = [
            Cs3Decoder(
                url=url,
                model=flow.MODEL,
                lease_seconds=LONG_SECONDS,
                prefill=Prefill(pool, client, queued=metrics.queued, retries=retries),
                client=client,
                releases=releases,
                key=lambda: flow.DECODE_KEY,
                ticket_key=flow.TICKET_KEY.encode,
            )
            for url in endpoints
        ]
        provider = Dispatch(Fleet(lambda: decoders), pool, client, retries, Thresholds())
        settings = dataclasses.replace(config(AdmissionConfig()), model=flow.MODEL, max_model_len=8192)
        gateway = Gateway(settings, provider, metrics, lambda: (Keyring(TENANTS),), lambda: 1)
        server = await stack.enter_async_context(listening(gateway))
        yield f"http://127.0.0.1:{server.port}"
