"""Say how a vLLM server on Neuron is started: its command line and environment."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from runtime.handoff import fabric, settings
from tandem.spec.instances import InstanceType
from tandem.spec.model import Model
from tandem.spec.workers import InstanceGroup, Workers

KV_TRANSFER_CONFIG = "--kv-transfer-config"


class Role(StrEnum):
    """Name a worker's side of the KV handoff, in vLLM's words."""

    PREFILL = "kv_producer"
    DECODE = "kv_consumer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """Say what the vLLM of one instance group is started with, as a worker or as the job that compiles for it."""

    model: Model
    workers: Workers
    group: InstanceGroup
    kind: InstanceType
    role: Role

    @property
    def command(self) -> list[str]:
        """The arguments of ``vllm``; the worker's entrypoint adds ``--host``."""
        return [
            "serve",
            self.model.id,
            f"--served-model-name={self.model.id}",
            f"--port={self.workers.api_port}",
            f"--tensor-parallel-size={self.group.tensor_parallel}",
            f"--max-model-len={self.model.max_model_len}",
            f"--max-num-seqs={self.workers.max_num_seqs}",
            f"--block-size={self.workers.block_size}",
            f"{KV_TRANSFER_CONFIG}={_kv_transfer_config(self.model, self.workers, self.role)}",
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a worker's vLLM, NIXL and libfabric read."""
        return {**fabric.variables(self.workers.side_channel_port), **_compilation(self.workers, self.role)}

    @property
    def compile_environment(self) -> dict[str, str]:
        """The variables by which vLLM compiles on the CPU what it would run on the hosts' devices, and runs nothing.

        Source: aws-neuron-sdk, vllm-neuron CPU compilation, 22 Jun 2026.
        """
        family = re.match(r"[a-z]+[0-9]+", self.kind.name)
        return {
            **_compilation(self.workers, self.role),
            "VLLM_NEURON_CPU_COMPILE": "1",
            "NEURON_PLATFORM_TARGET_OVERRIDE": family[0] if family else self.kind.name,
        }


def _compilation(workers: Workers, role: Role) -> dict[str, str]:
    seconds = str(workers.start_seconds)
    variables = {
        # vLLM's own bound on its engine's start, 600 s by default, which a compilation exceeds
        "VLLM_ENGINE_READY_TIMEOUT_S": seconds,
        # how long a rank waits for the one that compiles (vllm-neuron: compilation cache; 1P1D tutorial)
        "NEURON_LIBTORCH_COMPILATION_TIMEOUT": seconds,
        "VLLM_NEURON_COMPILATION_TIMEOUT": seconds,
    }
    if role is Role.PREFILL:
        variables["VLLM_NEURON_SKIP_DECODE_WARMUP"] = "1"
    return variables


def _kv_transfer_config(model: Model, workers: Workers, role: Role) -> str:
    config = {
        "kv_connector": model.kv_connector,
        "kv_role": role.value,
        # "cuda" on Trainium too: vllm-neuron's disaggregated inference design, 12 Aug 2026
        "kv_buffer_device": "cuda",
        "kv_connector_extra_config": {"backends": list(fabric.BACKENDS), "kv_lease_duration": workers.kv_lease_seconds},
    }
    if role is Role.PREFILL and model.kv_connector == "NixlConnector":
        config["kv_connector_module_path"] = settings.CONNECTOR_MODULE
    return json.dumps(config, separators=(",", ":"))
