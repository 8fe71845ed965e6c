"""Run the whole gateway between given ports, without TLS: ``python -m benchmarks.gateway.ours PORT PEERS PROVIDER``.

Everything that a request meets is on: keys, admission, reservation, prefill, ticket, routing, phases, metrics, access
log, deadline, the journal by which a stream is continued. AWS is left out, which no request meets: peers and keys are
given. ``cs3`` has three legs, a reservation first; ``vllm`` has two, as other routers have. The peers (``load.c``)
speak no TLS, like those of all relays that this is measured against; what TLS adds is ``benchmarks.tls``. With
``--profile FILE`` it writes where its time went, by cProfile, when it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import signal

import uvloop

from runtime.gateway.access.tenants import Keyring, Tenant, digest
from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.admission.limits import Capacity
from runtime.gateway.answering.dispatch import Dispatch
from runtime.gateway.answering.fleet import Fleet
from runtime.gateway.api.http_server import Gateway
from runtime.gateway.config import GatewayConfig, OpenAIConfig
from runtime.gateway.http.client import HttpClient
from runtime.gateway.peers.workers import Address, Pool, Worker
from runtime.gateway.providers.cs3 import Cs3Decoder
from runtime.gateway.providers.prefill import Prefill
from runtime.gateway.providers.provider import Decoder
from runtime.gateway.providers.releases import Releases
from runtime.gateway.providers.retries import Retries
from runtime.gateway.providers.vllm import VllmDecoder
from runtime.gateway.routing.disaggregation import Thresholds
from runtime.gateway.serve import settle
from runtime.gateway.telemetry.metrics import Metrics
from runtime.handoff.contract import Code

HOST = "127.0.0.1"
MODEL = "m"
TENANTS = (Keyring([Tenant(id="acme", keys=(digest("client-key"),))]),)


class PlainWorker(Worker):
    """A worker that is asked without TLS."""

    __slots__ = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "url", f"http://{self.address}")


def config(port: int) -> GatewayConfig:
    """Return a configuration that lets every stream of the benchmark run."""
    return GatewayConfig(
        deployment="bench",
        region="us-east-2",
        model=MODEL,
        max_model_len=4096,
        tokenizer=None,
        port=port,
        metrics_port=1,
        namespace="unused",
        service="unused",
        tenants_secret_arn="unused",  # noqa: S106 - a name
        agentcore_secret_arn=None,
        admission=AdmissionConfig(capacity=Capacity(running=4096, waiting=128, wait_seconds=10.0)),
        provider=OpenAIConfig(endpoints=(), model="unused", secret_arn="unused"),  # noqa: S106 - a name
        spill_over=None,
        thresholds=Thresholds(),
    )


def provider(name: str, peers: int, client: HttpClient, metrics: Metrics, releases: Releases) -> Dispatch:
    """Return KV handoff from one worker to one decode endpoint, or worker."""
    retries = Retries()
    pool = _pool("prefill", peers + 1, Code.PREFILL_UNAVAILABLE)
    prefill = Prefill(pool, client, queued=metrics.queued, retries=retries)
    decoder = _vllm(peers, prefill, client) if name == "vllm" else _cs3(peers, prefill, client, releases)
    return Dispatch(Fleet(lambda: (decoder,)), pool, client, retries, Thresholds())


def _pool(stage: str, port: int, absent: Code) -> Pool:
    worker = PlainWorker(Address(HOST, port), "0" * 64, "worker-key")
    return Pool(lambda: (worker,), lambda _: None, stage=stage, absent=absent)


def _vllm(port: int, prefill: Prefill, client: HttpClient) -> Decoder:
    pool = _pool("decode", port, Code.DECODE_UNAVAILABLE)
    [worker] = pool.discovered()
    return VllmDecoder(worker=worker, pool=pool, prefill=prefill, client=client)


def _cs3(port: int, prefill: Prefill, client: HttpClient, releases: Releases) -> Decoder:
    return Cs3Decoder(
        url=f"http://{HOST}:{port}",
        model=MODEL,
        lease_seconds=30,
        prefill=prefill,
        client=client,
        releases=releases,
        key=lambda: "decode-key",
        ticket_key=lambda: b"ticket-key",
    )


async def serve(port: int, peers: int, name: str) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    metrics, client, releases = Metrics(deployment="bench", model=MODEL), HttpClient(), Releases()
    chosen = provider(name, peers, client, metrics, releases)
    server = Gateway(config(port), chosen, metrics, lambda: TENANTS, lambda: 1).server()
    try:
        await server.start(HOST, port)
        settle()
        await stopped.wait()
    finally:
        await server.stop(1.0)
        await releases.drain()
        await client.close()


def main() -> None:
    """Serve, and write a profile where one is asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("peers", type=int)
    parser.add_argument("provider", nargs="?", choices=("cs3", "vllm"), default="cs3")
    parser.add_argument("--profile")
    given = parser.parse_args()
    profile = cProfile.Profile() if given.profile else None
    if profile:
        profile.enable()
    run = asyncio.run if profile else uvloop.run  # a profile tells what asyncio's loop waits, libuv's it does not see
    run(serve(given.port, given.peers, given.provider))
    if profile:
        profile.dump_stats(given.profile)


if __name__ == "__main__":
    main()
