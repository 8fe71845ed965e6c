"""Say how a vLLM server on Neuron is started: its command line and environment."""

from __future__ import annotations

import json
from enum import StrEnum

from runtime.handoff import fabric
from tandem.spec.deployment import InstanceGroup, Model, Workers


class Role(StrEnum):
    """Name a worker's side of the KV handoff, in vLLM's words."""

    PREFILL = "kv_producer"
    DECODE = "kv_consumer"


def command(model: Model, workers: Workers, group: InstanceGroup, role: Role) -> list[str]:
    """Return the arguments of ``vllm``; the worker's entrypoint adds ``--host``."""
    return [
        "serve",
        model.id,
        f"--served-model-name={model.id}",
        f"--port={workers.api_port}",
        f"--tensor-parallel-size={group.tensor_parallel}",
        f"--max-model-len={model.max_model_len}",
        f"--max-num-seqs={workers.max_num_seqs}",
        f"--block-size={workers.block_size}",
        f"--kv-transfer-config={_kv_transfer_config(model, workers, role)}",
    ]


def environment(workers: Workers, role: Role) -> dict[str, str]:
    """Return the variables that vLLM, NIXL and libfabric read."""
    variables = {
        **fabric.variables(workers.side_channel_port),
        # vLLM's own bound on its engine's start, 600 s by default, which a compilation exceeds
        "VLLM_ENGINE_READY_TIMEOUT_S": str(workers.start_seconds),
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
    return json.dumps(config, separators=(",", ":"))
