"""What vLLM is told: one command line for each side of the handoff."""

from __future__ import annotations

import json

import pytest

from constructs.serving.vllm import Launch, Role
from tandem.spec.instances import INSTANCE_TYPES
from tandem.spec.model import Model
from tandem.spec.workers import InstanceGroup, Workers

_GROUP = InstanceGroup(name="trn2", instance_type="trn2.48xlarge", count=1, tensor_parallel=64)
_WORKERS = Workers(groups=[_GROUP], block_size=64, max_num_seqs=4, kv_lease_seconds=45, api_port=8101)
_TIMEOUTS = ("VLLM_ENGINE_READY_TIMEOUT_S", "NEURON_LIBTORCH_COMPILATION_TIMEOUT", "VLLM_NEURON_COMPILATION_TIMEOUT")
_MODEL = Model(id="example/model", max_model_len=4096)


def _launch(role: Role, model: Model = _MODEL, kind: str = "trn2.48xlarge") -> Launch:
    return Launch(model=model, workers=_WORKERS, group=_GROUP, kind=INSTANCE_TYPES[kind], role=role)


@pytest.mark.parametrize("role", Role)
def test_the_command_line_is_vllms_own(role: Role) -> None:
    serve, model, *flags = _launch(role).command
    assert (serve, model) == ("serve", "example/model")
    options = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    kv = json.loads(options.pop("kv-transfer-config"))
    assert kv.pop("kv_connector_module_path", None) == ("runtime.connector.nixl" if role is Role.PREFILL else None)
    assert options == {
        "served-model-name": "example/model",
        "port": "8101",
        "tensor-parallel-size": "64",
        "max-model-len": "4096",
        "max-num-seqs": "4",
        "block-size": "64",
    }
    assert kv == {
        "kv_connector": "NixlConnector",
        "kv_role": role.value,
        "kv_buffer_device": "cuda",
        "kv_connector_extra_config": {"backends": ["LIBFABRIC"], "kv_lease_duration": 45},
    }


def test_prefill_produces_and_decode_consumes() -> None:
    assert (Role.PREFILL.value, Role.DECODE.value) == ("kv_producer", "kv_consumer")


def test_the_file_chooses_the_connector() -> None:
    windows = _MODEL.model_copy(update={"kv_connector": "NeuronNixlConnector"})
    [flag] = [f for f in _launch(Role.PREFILL, windows).command if "kv-transfer-config" in f]
    kv = json.loads(flag.split("=", 1)[1])
    assert kv["kv_connector"] == "NeuronNixlConnector"
    assert "kv_connector_module_path" not in kv  # ours wraps vLLM's own


def test_efa_is_used_without_its_shared_memory_shortcut() -> None:
    expected = {
        "VLLM_NIXL_SIDE_CHANNEL_PORT": "5559",
        **dict.fromkeys(_TIMEOUTS, "5400"),
        "FI_PROVIDER": "efa",
        "FI_EFA_USE_DEVICE_RDMA": "1",
        "FI_EFA_ENABLE_SHM_TRANSFER": "0",
    }
    assert _launch(Role.DECODE).environment == expected
    assert _launch(Role.PREFILL).environment == expected | {"VLLM_NEURON_SKIP_DECODE_WARMUP": "1"}


@pytest.mark.parametrize(
    ("kind", "target"), [("trn1n.32xlarge", "trn1"), ("trn2.48xlarge", "trn2"), ("trn2u.48xlarge", "trn2")]
)
def test_a_job_compiles_on_the_cpu_for_the_groups_own_devices(kind: str, target: str) -> None:
    assert _launch(Role.PREFILL, kind=kind).compile_environment == {
        **dict.fromkeys(_TIMEOUTS, "5400"),
        "VLLM_NEURON_SKIP_DECODE_WARMUP": "1",
        "VLLM_NEURON_CPU_COMPILE": "1",
        "NEURON_PLATFORM_TARGET_OVERRIDE": target,
    }
