"""Run the whole gateway between given ports, without TLS: ``python -m benchmarks.gateway.ours PORT PEERS``.

Everything that a request meets is on: keys, admission, reservation, prefill, ticket, routing, phases, metrics, access
log, deadline, the journal by which a stream is continued. AWS is left out, which no request meets: peers and keys are
given. The peers (``load.c``) speak no TLS, like those of all relays that this is measured against; what TLS adds is
``benchmarks.tls``. With ``--profile FILE`` it writes where its time went, by cProfile, when it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import signal

from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.admission.limits import Capacity
from runtime.gateway.config import GatewayConfig, OpenAIConfig
from runtime.gateway.dispatch import Dispatch
from runtime.gateway.fleet import Fleet
from runtime.gateway.http.client import HttpClient
from runtime.gateway.http_server import Gateway
from runtime.gateway.metrics import Metrics
from runtime.gateway.prefill import Prefill
from runtime.gateway.providers.cs3 import Cs3Decoder
from runtime.gateway.releases import Releases
from runtime.gateway.retries import Retries
from runtime.gateway.routing.disaggregation import Thresholds
from runtime.gateway.tenants import Tenant, digest
from runtime.gateway.workers import Address, Pool, Worker
from runtime.handoff.contract import Code

HOST = "127.0.0.1"
MODEL = "m"
TENANTS = (Tenant(id="acme", keys=(digest("client-key"),)),)


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


def provider(peers: int, client: HttpClient, metrics: Metrics, releases: Releases) -> Dispatch:
    """Return KV handoff from one worker to one decode endpoint."""
    worker = PlainWorker(Address(HOST, peers + 1), "0" * 64, "worker-key")
    retries = Retries()
    pool = Pool(lambda: (worker,), lambda _: None, stage="prefill", absent=Code.PREFILL_UNAVAILABLE)
    decoder = Cs3Decoder(
        url=f"http://{HOST}:{peers}",
        model=MODEL,
        lease_seconds=30,
        prefill=Prefill(pool, client, queued=metrics.queued, retries=retries),
        client=client,
        releases=releases,
        key=lambda: "decode-key",
        ticket_key=lambda: b"ticket-key",
    )
    return Dispatch(Fleet(lambda: (decoder,)), pool, client, retries, Thresholds())


async def serve(port: int, peers: int) -> None:
    """Serve until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    metrics, client, releases = Metrics(deployment="bench", model=MODEL), HttpClient(), Releases()
    chosen = provider(peers, client, metrics, releases)
    server = Gateway(config(port), chosen, metrics, lambda: TENANTS, lambda: 1).server()
    try:
        await server.start(HOST, port)
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
    parser.add_argument("--profile")
    given = parser.parse_args()
    profile = cProfile.Profile() if given.profile else None
    if profile:
        profile.enable()
    asyncio.run(serve(given.port, given.peers))
    if profile:
        profile.dump_stats(given.profile)


if __name__ == "__main__":
    main()
