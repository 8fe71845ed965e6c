"""Start two real vLLM servers, the CS-3 emulator and a gateway for each provider, once for all tests here."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import aiohttp
import pytest

from constructs.serving.vllm import Role
from runtime.gateway.peers.readiness import ready
from runtime.gateway.peers.workers import Address, Worker
from runtime.standins.engine.engine import Engine
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tandem.rehearsal.machine.processes import Processes
from tests import instance_metadata
from tests.vllm import checkpoint, programs
from tests.vllm.client import Client
from tests.vllm.programs import DECODE, EMULATOR, KV_GATEWAY, PREFILL, VLLM_GATEWAY, Host

START_SECONDS = 600.0
"""A server takes 40 s on a quiet machine, and minutes where ten processes want each core."""


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return the emulator's engine, to compute KV of its own."""
    return Engine.load()


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[Host, Worker]]:
    """Run everything; yield both workers as a gateway knows them."""
    if not programs.PYTHON.exists():
        pytest.fail(f"{programs.PYTHON} does not exist: run make test-vllm, which installs the real vLLM")
    folder = tmp_path_factory.mktemp("vllm")
    model = folder / "model"
    model.mkdir()
    checkpoint.write(model)
    with ExitStack() as stack:
        cloud = stack.enter_context(EmbeddedCloud("123456789012", "us-east-2", folder / "cloud"))
        aws, secrets = cloud.environment(), _register(cloud)
        processes = stack.enter_context(Processes(folder / "logs"))
        started, known = {}, dict[Host, Worker]()
        for host, role in ((PREFILL, Role.PREFILL), (DECODE, Role.DECODE)):
            metadata = stack.enter_context(instance_metadata.serving(host.address, f"i-{host.name}"))
            program = programs.worker(host, role, model, folder / host.name, metadata, secrets["worker"], aws)
            started[host] = processes.start(program)
        for host, process in started.items():
            processes.wait_ready(process, partial(_becomes_known, host, known), START_SECONDS)
        names = folder / "hosts.json"
        names.write_text(json.dumps({f"data-localhost:{cloud.port}": ["127.0.0.1", cloud.port]}))
        emulator = processes.start(programs.emulator(EMULATOR))
        gateways = {
            host: processes.start(programs.gateway(host, provider, secrets, aws, names))
            for host, provider in ((KV_GATEWAY, "cs3"), (VLLM_GATEWAY, "vllm"))
        }
        processes.wait_ready(emulator, partial(_answers, EMULATOR.url + "/health"), START_SECONDS)
        for host, process in gateways.items():
            processes.wait_ready(process, partial(_answers, host.url + "/ready"), START_SECONDS)
        yield known


@pytest.fixture
async def client(system: Mapping[Host, Worker]) -> AsyncIterator[Client]:
    """Yield a client of the running system."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=START_SECONDS)) as session:
        yield Client(session, system)
    for _ in range(3):  # aiohttp aborts its TLS transports as it closes: they end in the loop's next turns
        await asyncio.sleep(0)


def _register(cloud: EmbeddedCloud) -> dict[str, str]:
    """Make both workers known to Cloud Map, as ECS does, make the bucket and the secrets; return their ARNs."""
    found: Any = cloud.api.client("servicediscovery")
    found.create_private_dns_namespace(Name=programs.NAMESPACE, Vpc="vpc-1")
    [namespace] = found.list_namespaces()["Namespaces"]
    for host in (PREFILL, DECODE):
        service = found.create_service(Name=host.name, NamespaceId=namespace["Id"])["Service"]
        attributes = {"AWS_INSTANCE_IPV4": host.address, "AWS_INSTANCE_PORT": str(host.port)}
        found.register_instance(ServiceId=service["Id"], InstanceId=host.name, Attributes=attributes)
    place = {"LocationConstraint": cloud.region}
    cloud.api.client("s3").create_bucket(Bucket=programs.ARTIFACTS, CreateBucketConfiguration=place)
    keeper: Any = cloud.api.client("secretsmanager")
    return {
        name: keeper.create_secret(Name=name, SecretString=value)["ARN"] for name, value in programs.SECRETS.items()
    }


def _becomes_known(host: Host, known: dict[Host, Worker]) -> bool:
    """Keep a worker that is ready, as a gateway learns of it."""
    address = Address(host.address, host.port)
    if found := ready(address, status_port=programs.WORKERS.status_port, keys=[programs.WORKER_KEY]):
        known[host] = found
    return found is not None


def _answers(url: str) -> bool:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # the load balancer trusts targets likewise
    try:
        with urllib.request.urlopen(url, timeout=2, context=trusting):  # noqa: S310 - our own process
            return True
    except (urllib.error.URLError, OSError):
        return False
