"""Say how each process of the tier is started: real vLLM under the worker's own entrypoint, emulator, gateways.

Each host is a loopback address. A worker gets the command line and the variables that the constructs deploy; what is
added or changed is what a CPU asks for, and stands in ``ON_A_CPU``, ``_on_a_cpu`` and ``_environment``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from constructs.serving.vllm import Launch, Role
from runtime.gateway.access.tenants import Tenant, digest, dump
from runtime.handoff import fabric, settings
from runtime.handoff.kv import description, layout
from runtime.handoff.kv.attention import Heads, Rope
from runtime.handoff.kv.description import Element, KvDescription
from runtime.prefill.instance import ENDPOINT_VARIABLE
from tandem.rehearsal.machine.processes import Program
from tandem.spec.admission import Admission
from tandem.spec.gateway import Routing
from tandem.spec.instances import INSTANCE_TYPES
from tandem.spec.model import Model
from tandem.spec.workers import InstanceGroup, Workers
from tests.instance_metadata import CREDENTIALS

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
NAMES = ROOT / "tandem" / "rehearsal" / "machine" / "names"
"""The folder whose ``sitecustomize`` resolves the names of the embedded AWS."""

MODEL = Model(id="smollm2", max_model_len=2560)
WORKERS = Workers(
    groups=[InstanceGroup(name="cpu", instance_type="trn2.48xlarge", count=1, tensor_parallel=1)],
    max_num_seqs=4,
    kv_lease_seconds=120,
    start_seconds=600,
)
ROUTING = Routing()
WORKER_KEY, GATEWAY_KEY, DECODE_KEY, TICKET_KEY = "worker-key", "gateway-key", "decode-key", "ticket-key"
SECRETS = {
    "tenants": dump([Tenant(id="test", keys=(digest(GATEWAY_KEY),))]),
    "worker": WORKER_KEY,
    "endpoint": json.dumps({settings.API_KEY_FIELD: DECODE_KEY}),
    "ticket": TICKET_KEY,
}
"""What the gateways find in Secrets Manager."""
ARTIFACTS = "artifacts"
"""The bucket where workers look for what another has compiled; on a CPU nothing is."""
NAMESPACE = "vllm.internal"

HANDSHAKE_SECONDS = 60.0
"""vLLM answers from a thread of its engine: on two cores, beside another vLLM, it once took longer than 5 s."""

ON_A_CPU = (
    "--dtype=bfloat16",
    "--enforce-eager",  # nothing to compile: half a minute less
    "--no-enable-prefix-caching",  # so that an answer without handoff owes nothing to one with it
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """Name a process and its loopback address."""

    name: str
    address: str
    port: int
    scheme: str = "https"

    @property
    def url(self) -> str:
        """Its base URL; all but the emulator serve TLS, by certificates of their own."""
        return f"{self.scheme}://{self.address}:{self.port}"


PREFILL = Host(name="prefill", address="127.79.0.1", port=WORKERS.api_port)
DECODE = Host(name="decode", address="127.79.0.2", port=WORKERS.api_port)
EMULATOR = Host(name="emulator", address="127.79.0.3", port=8443, scheme="http")
KV_GATEWAY = Host(name="gateway-cs3", address="127.79.0.4", port=18080)
VLLM_GATEWAY = Host(name="gateway-vllm", address="127.79.0.4", port=18081)
"""Outside ECS a gateway listens on every address: its ports are not those of a rehearsal beside it."""


def worker(
    host: Host, role: Role, checkpoint: Path, folder: Path, metadata: str, key_arn: str, aws: Mapping[str, str]
) -> Program:
    """Describe a worker; ``folder`` is its own, ``metadata`` its host's, ``key_arn`` the secret of the worker key."""
    [group] = WORKERS.groups
    launch = Launch(model=MODEL, workers=WORKERS, group=group, kind=INSTANCE_TYPES[group.instance_type], role=role)
    serve, _, *flags = launch.command
    arguments = [serve, str(checkpoint), *(_on_a_cpu(flag) for flag in flags), *ON_A_CPU]
    for device in ("neuron0", "infiniband/uverbs0"):
        (folder / "dev" / device).parent.mkdir(parents=True, exist_ok=True)
        (folder / "dev" / device).touch()
    _shim(folder / "vllm")
    variables = launch.environment | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(folder),
        ENDPOINT_VARIABLE: metadata,
        settings.HOST_ROOT: str(folder),
        settings.NEURON_DEVICES: "1",
        settings.EFA_INTERFACES: "1",
        settings.WORKER_SECRET_ARN: key_arn,
        settings.DEPLOYMENT: "vllm",
        settings.STAGE: host.name,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": metadata + CREDENTIALS,
        settings.STATUS_PORT: str(WORKERS.status_port),
        settings.START_SECONDS: str(WORKERS.start_seconds),
        settings.WARM_START_SECONDS: str(WORKERS.start_seconds),
        settings.ARTIFACTS: f"s3://{ARTIFACTS}/{host.name}",
        settings.DRAIN_SECONDS: "5",
    }
    variables |= {**_environment(), **aws}
    del variables[fabric.PROVIDER_VARIABLE]
    return _python(host.name, ["runtime.prefill", *arguments], variables)


def emulator(host: Host) -> Program:
    """Describe a CS-3 emulator that was told how stock vLLM keeps KV on this machine."""
    flags = [f"--host={host.address}", f"--port={host.port}", f"--served-model-name={MODEL.id}"]
    flags.append(f"--handshake-seconds={HANDSHAKE_SECONDS}")
    flags.append(f"--worker-kv={description.encode(cpu_kv()).decode()}")
    variables = {settings.DECODE_KEY: DECODE_KEY, settings.TICKET_KEY: TICKET_KEY, "UCX_NET_DEVICES": "lo"}
    return _python(host.name, ["runtime.standins.cs3", *flags], {"PATH": os.environ["PATH"], **variables})


def gateway(host: Host, provider: str, secrets: Mapping[str, str], aws: Mapping[str, str], names: Path) -> Program:
    """Describe a gateway that finds workers in Cloud Map and keys in Secrets Manager."""
    variables = {
        settings.DEPLOYMENT: "vllm",
        settings.METRICS_PORT: str(host.port + 1000),
        settings.TENANTS_SECRET_ARN: secrets["tenants"],
        settings.PREFILL_SECRET_ARN: secrets["worker"],
        settings.DECODE_SECRET_ARN: secrets["endpoint" if provider == "cs3" else "worker"],
        settings.TICKET_SECRET_ARN: secrets["ticket"],
        settings.MODEL: MODEL.id,
        settings.MAX_MODEL_LEN: str(MODEL.max_model_len),
        settings.ADMISSION: json.dumps({**Admission().model_dump(), "gateways": 1}),
        settings.GATEWAY_NAMESPACE: NAMESPACE,
        settings.GATEWAY_SERVICE: "gateway",
        settings.NEW_TOKENS: str(ROUTING.new_tokens),
        settings.NEW_SHARE: str(ROUTING.new_share),
        settings.LISTEN_PORT: str(host.port),
        settings.PREFILL_NAMESPACE: NAMESPACE,
        settings.PREFILL_SERVICE: PREFILL.name,
        settings.PREFILL_STATUS_PORT: str(WORKERS.status_port),
        settings.KV_LEASE_SECONDS: str(WORKERS.kv_lease_seconds),
        settings.DECODE_PROVIDER: provider,
        settings.DECODE_ENDPOINTS: EMULATOR.url,
        settings.DECODE_MODEL: MODEL.id,
        settings.DECODE_NAMESPACE: NAMESPACE,
        settings.DECODE_SERVICE: DECODE.name,
        settings.DECODE_STATUS_PORT: str(WORKERS.status_port),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(NAMES),
        "TANDEM_REHEARSAL_HOSTS": str(names),
    }
    return _python(host.name, ["runtime.gateway"], {**variables, **aws})


def cpu_kv() -> KvDescription:
    """Describe the KV of vLLM's CPU backend in bf16: packed for AMX where the processor has it."""
    amx = {"amx_tile", "amx_bf16"} <= set(Path("/proc/cpuinfo").read_text().split())
    return KvDescription(
        attention=Heads(kv_heads=3, width=64, rope_dim=64),
        layers=30,
        element=Element.BF16,
        rope=Rope.HALF_SPLIT,
        layout=layout.VLLM_CPU_AMX if amx else layout.VLLM_CPU,
        block_size=WORKERS.block_size,
    )


def _on_a_cpu(flag: str) -> str:
    """Return a flag with NIXL's backend, and the place of KV, for a machine without EFA and accelerator."""
    name, _, value = flag.partition("=")
    if name != "--kv-transfer-config":
        return flag
    config = json.loads(value) | {"kv_buffer_device": "cpu"}
    config["kv_connector_extra_config"]["backends"] = ["UCX"]
    return f"{name}={msgspec.json.encode(config).decode()}"


def _environment() -> dict[str, str]:
    return {
        "OMP_NUM_THREADS": "1",  # tokens are comparable within one thread count only
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB: 46,592 tokens
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "UCX_NET_DEVICES": "lo",
    }


def _shim(path: Path) -> None:
    """Write the program ``vllm``, whose own entry point fails in ``vllm-cpu`` as that package has another name."""
    module = "vllm.entrypoints.openai.api_server"
    path.write_text(f'#!/bin/sh\nshift\nexec "{PYTHON}" -W ignore::DeprecationWarning -m {module} --model "$@"\n')
    path.chmod(0o755)


def _python(name: str, words: list[str], variables: dict[str, str]) -> Program:
    return Program(name=name, command=[sys.executable, "-m", *words], environment=variables, cwd=ROOT)
