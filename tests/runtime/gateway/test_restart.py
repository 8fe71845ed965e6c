"""A worker that starts anew has another certificate and key; no client sees an error for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.gateway.answering.dispatch import Dispatch
from runtime.gateway.answering.fleet import Fleet
from runtime.gateway.http.client import HttpClient
from runtime.gateway.peers import readiness
from runtime.gateway.peers.discovery import Discovery
from runtime.gateway.peers.upstream import NotSentError
from runtime.gateway.peers.workers import Pool, Prompt
from runtime.gateway.providers.prefill import Prefill
from runtime.gateway.providers.retries import Retries
from runtime.gateway.providers.vllm import VllmDecoder
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import Chat
from runtime.gateway.routing.deadline import NEVER
from runtime.gateway.routing.disaggregation import Handoff, Thresholds
from runtime.gateway.telemetry.gauge import Gauge
from runtime.gateway.telemetry.phases import Phases
from runtime.handoff.certificate import Certificate
from runtime.handoff.contract import CHAT_COMPLETIONS, Code, HandoffError
from runtime.handoff.worker_status import State
from runtime.prefill import status
from runtime.prefill.keys import WorkerKeys
from runtime.prefill.status import Identity, Status
from tests.ports import free_port
from tests.runtime.gateway.standin_peers import HOST, DecodePeer, PrefillPeer, serving

CHAT = Chat(
    request_id="r",
    tenant="t",
    body={"model": "m", "messages": [{"role": "user", "content": "x"}]},
    max_tokens=1,
    prompt_tokens=1,
    max_model_len=2,
)


def attempt() -> Attempt:
    return Attempt(
        request_id="r", prompt=Prompt(tokens=1), number=1, handoff=Handoff.KV, phases=Phases(), deadline=NEVER
    )


class Host:
    """Hold the ports of one worker, and run it: each run has a certificate and a key of its own."""

    def __init__(self, peer: PrefillPeer | DecodePeer) -> None:
        self.peer = peer
        self.api, self.status = free_port(), free_port()
        attributes = {"AWS_INSTANCE_IPV4": HOST, "AWS_INSTANCE_PORT": str(self.api)}
        cloud_map = SimpleNamespace(discover_instances=lambda **_: {"Instances": [{"Attributes": attributes}]})
        self.discovery = Discovery(cloud_map, namespace="n", service="s", ready=self._ready)
        self.runs = 0

    def pool(self, stage: str) -> Pool:
        """Return the pool that lends this worker."""
        return Pool(lambda: self.discovery.workers, self.discovery.renew, stage=stage, absent=Code.PREFILL_UNAVAILABLE)

    def _ready(self, address: Any) -> Any:
        return readiness.ready(address, status_port=self.status, keys=("shared",))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve both ports."""
        self.runs += 1
        certificate, keys = Certificate.issue(HOST), WorkerKeys({}, print)
        keys.known = ("shared",)
        told = Identity(address=HOST, digest=certificate.digest, api_key=f"run-{self.runs}", keys=keys, versions={})
        async with (
            status.serving(Status(State.READY), told, certificate.server(), self.status),
            serving(self.peer.application(), certificate, self.api),
        ):
            yield

    def keys(self) -> list[str]:
        """Return the keys of the requests that the worker saw."""
        return [seen.headers["Authorization"] for seen in self.peer.seen]


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    yield made
    await made.close()


async def refresh(host: Host) -> None:
    await asyncio.to_thread(host.discovery.refresh)


async def test_prefill_goes_to_the_next_run(client: HttpClient) -> None:
    host = Host(PrefillPeer())
    prefill = Prefill(host.pool("prefill"), client, queued=Gauge(), retries=Retries())
    for _ in range(2):
        async with host.running():
            if host.runs == 1:
                await refresh(host)
            assert await prefill.run(CHAT, attempt())
    assert host.keys() == ["Bearer run-1", "Bearer run-2"]


async def test_decode_goes_to_the_next_run(client: HttpClient) -> None:
    first, second = Host(PrefillPeer()), Host(DecodePeer())
    prefill = Prefill(first.pool("prefill"), client, queued=Gauge(), retries=Retries())
    pool = second.pool("decode")
    made = partial(VllmDecoder, pool=pool, prefill=prefill, client=client)
    fleet = Fleet(lambda: [made(worker=each) for each in pool.discovered()])
    provider = Dispatch(fleet, prefill.pool, client, Retries(), Thresholds())
    async with first.running():
        await refresh(first)
        for _ in range(2):
            async with second.running():
                if second.runs == 1:
                    await refresh(second)
                response = await provider.answer(CHAT, Phases())
                assert await response.read()
                response.leave()
    assert second.keys() == ["Bearer run-1", "Bearer run-2"]


async def test_a_worker_that_is_gone_is_not_asked_again(client: HttpClient) -> None:
    host = Host(PrefillPeer())
    pool = host.pool("prefill")
    prefill = Prefill(pool, client, queued=Gauge(), retries=Retries())
    async with host.running():
        await refresh(host)
    with pytest.raises(HandoffError) as refused:
        await prefill.run(CHAT, attempt())
    assert (refused.value.code, pool.lack) == (Code.PREFILL_UNAVAILABLE, "no prefill worker is known")


@pytest.mark.parametrize("shown", [Certificate.issue(HOST), None])
async def test_another_certificate_or_none_gets_neither_the_key_nor_the_text(
    client: HttpClient, shown: Certificate | None
) -> None:
    pin, peer = Certificate.issue(HOST).digest, PrefillPeer()
    async with serving(peer.application(), shown) as server:
        url = f"https://{HOST}:{server.port}{CHAT_COMPLETIONS}"
        with pytest.raises(NotSentError):
            await client.ask("POST", url, headers={}, body=b"{}", pin=pin)
    assert peer.seen == []
