"""Take what vLLM takes, refuse the rest with status 2 and a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.standins.vllm.deviations import deviations
from runtime.standins.vllm.flags import Serve, read

SIDE_CHANNEL = {"VLLM_NIXL_SIDE_CHANNEL_HOST": "127.0.0.2", "VLLM_NIXL_SIDE_CHANNEL_PORT": "5600"}
KV: dict[str, Any] = {
    "kv_connector": "NixlConnector",
    "kv_role": "kv_producer",
    "kv_buffer_device": "cuda",
    "kv_connector_extra_config": {"backends": ["LIBFABRIC"], "kv_lease_duration": 45},
}


def serve(*flags: str, environment: dict[str, str] | None = None) -> Serve:
    return read(["serve", "org/model", *flags], environment or {})


def kv(**changes: object) -> str:
    return f"--kv-transfer-config={json.dumps(KV | changes)}"


def test_a_certificate_needs_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve("--ssl-certfile=c.pem", "--ssl-keyfile=k.pem").certificate == ("c.pem", "k.pem")
    with pytest.raises(SystemExit):
        serve("--ssl-certfile=c.pem")
    assert "--ssl-certfile and --ssl-keyfile go together" in capsys.readouterr().err


def test_a_production_command_line() -> None:
    asked = serve(
        "--host=10.0.0.1",
        "--port=8100",
        "--served-model-name=org/model",
        "--tensor-parallel-size=64",
        "--max-model-len=32768",
        "--max-num-seqs=16",
        "--block-size=32",
        kv(),
        environment=SIDE_CHANNEL | {"VLLM_API_KEY": "secret", "VLLM_NEURON_SKIP_DECODE_WARMUP": "1", "PATH": "/bin"},
    )
    assert (asked.host, asked.port, asked.names) == ("10.0.0.1", 8100, ("org/model",))
    assert (asked.tensor_parallel_size, asked.max_model_len, asked.block_size) == (64, 32768, 32)
    assert asked.side_channel == ("127.0.0.2", 5600)
    assert asked.api_keys == {"secret"}
    assert asked.kv_transfer is not None
    assert asked.kv_transfer.kv_connector_extra_config.kv_lease_duration == 45
    said = " | ".join(deviations(asked, context=8192))
    for word in (
        "SmolLM2",
        "tensor parallel size 64",
        "8192 used",
        "LIBFABRIC requested, another",
        "host memory",
    ):
        assert word in said


def test_defaults_are_vllms() -> None:
    asked = serve()
    assert (asked.port, asked.names, asked.block_size) == (8000, ("org/model",), 16)
    assert asked.kv_transfer is None
    assert not asked.api_keys


def test_a_flag_wins_over_the_environments_key() -> None:
    assert serve("--api-key", "a", "b", environment={"VLLM_API_KEY": "c"}).api_keys == {"a", "b"}


REFUSED_FLAGS = {
    "--tensor-paralel-size=2": "unrecognized arguments",
    "--max-model=5": "unrecognized arguments",
    "--port=0": "port from 1 to 65535",
    "--port=http": "port from 1 to 65535",
    "--tensor-parallel-size=0": "positive whole number",
    "--max-model-len=-1": "positive whole number",
    "--max-num-seqs=many": "positive whole number",
    "--block-size=24": "invalid choice: 24",
    "--dtype=int4": "invalid choice: 'int4'",
    "--kv-cache-dtype=fp4": "invalid choice: 'fp4'",
    "--max-num-batched-tokens=1": "must be greater than or equal to max_num_seqs",
    "--additional-config=[]": "a JSON object is needed",
    "--kv-transfer-config={": "truncated",
    "--kv-transfer-config={}": "missing required field `kv_connector`",
    kv(kv_connector="NixlConector"): "Invalid enum value 'NixlConector' - at `$.kv_connector`",
    kv(kv_role="producer"): "Invalid enum value 'producer' - at `$.kv_role`",
    kv(kv_rol="kv_producer"): "unknown field `kv_rol`",
    kv(kv_buffer_device="trainium"): "`$.kv_buffer_device`",
    kv(kv_load_failure_policy="ignore"): "`$.kv_load_failure_policy`",
    kv(kv_port="a"): "Expected `int`, got `str` - at `$.kv_port`",
    kv(kv_connector_extra_config={"backend": ["UCX"]}): "unknown field `backend`",
    kv(kv_connector_extra_config={"backends": ["EFA"]}): "Invalid enum value 'EFA'",
    kv(kv_connector_extra_config={"backends": []}): "length >= 1",
    kv(kv_connector_extra_config={"kv_lease_duration": 0}): "`int` >= 1",
}


@pytest.mark.parametrize(("flag", "reason"), REFUSED_FLAGS.items())
def test_refused_flags(flag: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        serve(flag, environment=SIDE_CHANNEL)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


REFUSED_ENVIRONMENTS: dict[str, tuple[dict[str, str], str]] = {
    "no side channel host": ({"VLLM_NIXL_SIDE_CHANNEL_PORT": "5600"}, "VLLM_NIXL_SIDE_CHANNEL_HOST is not set"),
    "no side channel port": ({"VLLM_NIXL_SIDE_CHANNEL_HOST": "h"}, "VLLM_NIXL_SIDE_CHANNEL_PORT: got ''"),
    "a misspelt variable": (
        SIDE_CHANNEL | {"VLLM_NIXL_SIDECHANNEL_HOST": "h"},
        "environment variables VLLM_NIXL_SIDECHANNEL_HOST are unknown",
    ),
}


@pytest.mark.parametrize(("environment", "reason"), REFUSED_ENVIRONMENTS.values(), ids=REFUSED_ENVIRONMENTS)
def test_refused_environments(environment: dict[str, str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        serve(kv(), environment=environment)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["chat"], ["serve"], ["serve", "a", "b"]])
def test_only_serve_with_one_model(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read(arguments, {})
    assert ended.value.code == 2
