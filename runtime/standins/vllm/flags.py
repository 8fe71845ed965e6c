"""Read the command line and environment of ``vllm serve`` and refuse what vLLM would refuse, or nobody reads."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.standins.vllm import kv_transfer_config
from runtime.standins.vllm.kv_transfer_config import KvTransferConfig

SIDE_CHANNEL_HOST: Final = "VLLM_NIXL_SIDE_CHANNEL_HOST"
SIDE_CHANNEL_PORT: Final = "VLLM_NIXL_SIDE_CHANNEL_PORT"
API_KEY: Final = "VLLM_API_KEY"
VARIABLES: Final = frozenset(
    {
        SIDE_CHANNEL_HOST,
        SIDE_CHANNEL_PORT,
        API_KEY,
        "VLLM_CACHE_ROOT",
        "VLLM_DO_NOT_TRACK",
        "VLLM_ENGINE_READY_TIMEOUT_S",
        "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS",
        "VLLM_HOST_IP",
        "VLLM_LOGGING_LEVEL",
        "VLLM_NEURON_COMPILATION_TIMEOUT",
        "VLLM_NEURON_CPU_COMPILE",
        "VLLM_NEURON_SKIP_DECODE_WARMUP",
        "VLLM_NO_USAGE_STATS",
        "VLLM_PLUGINS",
        "VLLM_WORKER_MULTIPROC_METHOD",
    }
)
"""The variables taken; vLLM only warns of others, here one is refused, so that a misspelt one is found."""

BLOCK_SIZES: Final = (1, 8, 16, 32, 64, 128, 256)
DTYPES: Final = ("auto", "half", "float16", "bfloat16", "float", "float32")
KV_DTYPES: Final = ("auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2")


@dataclass(frozen=True, kw_only=True, slots=True)
class Serve:
    """State what to serve and where; ``side_channel`` is set whenever ``kv_transfer`` is."""

    model: str
    names: tuple[str, ...]
    host: str
    port: int
    tensor_parallel_size: int
    max_model_len: int | None
    max_num_seqs: int
    block_size: int
    num_blocks: int | None
    dtype: str
    kv_cache_dtype: str
    prefix_caching: bool
    kv_transfer: KvTransferConfig | None
    side_channel: tuple[str, int] | None
    api_keys: frozenset[str]
    certificate: tuple[str, str] | None

    @property
    def reads(self) -> bool:
        """Whether it reads what others prefilled, in place of letting them read."""
        return self.kv_transfer is not None and self.kv_transfer.kv_role == "kv_consumer"


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Serve:
    """Return what the caller asks for; else write why not to stderr and exit with status 2, as argparse does."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return _serve(given, environment)
    except ValueError as error:
        parser.error(str(error))


def _serve(given: argparse.Namespace, environment: Mapping[str, str]) -> Serve:
    _check_variables(environment)
    if given.max_num_batched_tokens is not None and given.max_num_batched_tokens < given.max_num_seqs:
        raise ValueError(
            f"max_num_batched_tokens ({given.max_num_batched_tokens}) must be greater than or equal to max_num_seqs "
            f"({given.max_num_seqs})"
        )
    return Serve(
        model=given.model,
        names=tuple(given.served_model_name or [given.model]),
        host=given.host,
        port=given.port,
        tensor_parallel_size=given.tensor_parallel_size,
        max_model_len=given.max_model_len,
        max_num_seqs=given.max_num_seqs,
        block_size=given.block_size,
        num_blocks=given.num_gpu_blocks_override,
        dtype=given.dtype,
        kv_cache_dtype=given.kv_cache_dtype,
        prefix_caching=given.enable_prefix_caching,
        kv_transfer=given.kv_transfer_config,
        side_channel=_side_channel(environment) if given.kv_transfer_config else None,
        certificate=_certificate(given),
        api_keys=frozenset(given.api_key or filter(None, [environment.get(API_KEY)])),
    )


def _check_variables(environment: Mapping[str, str]) -> None:
    unknown = sorted(name for name in environment if name.startswith("VLLM_") and name not in VARIABLES)
    if unknown:
        raise ValueError(
            f"environment variables {', '.join(unknown)} are unknown, known: {', '.join(sorted(VARIABLES))}"
        )


def _certificate(given: argparse.Namespace) -> tuple[str, str] | None:
    """Return the files of certificate and key; uvicorn would ignore one without the other."""
    if (given.ssl_certfile is None) != (given.ssl_keyfile is None):
        raise ValueError("--ssl-certfile and --ssl-keyfile go together; one of them is missing")
    return (given.ssl_certfile, given.ssl_keyfile) if given.ssl_certfile else None


def _side_channel(environment: Mapping[str, str]) -> tuple[str, int]:
    """Return its host and port; vLLM would default to localhost:5600, which no other host can reach."""
    host, port = environment.get(SIDE_CHANNEL_HOST, ""), environment.get(SIDE_CHANNEL_PORT, "")
    if not host:
        raise ValueError(f"{SIDE_CHANNEL_HOST} is not set: a decoder must reach the NIXL side channel")
    try:
        return host, _port(port)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"{SIDE_CHANNEL_PORT}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    commands = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    serve = commands.add_subparsers(dest="command", required=True, metavar="serve").add_parser(
        "serve", allow_abbrev=False
    )
    serve.add_argument("model")
    serve.add_argument("--host", default="0.0.0.0")  # noqa: S104 - vLLM's default
    serve.add_argument("--port", type=_port, default=8000)
    serve.add_argument("--served-model-name", nargs="+")
    serve.add_argument("--tensor-parallel-size", "-tp", type=_positive, default=1)
    serve.add_argument("--max-model-len", type=_positive)
    serve.add_argument("--max-num-seqs", type=_positive, default=128)
    serve.add_argument("--max-num-batched-tokens", type=_positive)
    serve.add_argument("--block-size", type=int, choices=BLOCK_SIZES, default=16)
    serve.add_argument("--num-gpu-blocks-override", type=_positive)
    serve.add_argument("--dtype", choices=DTYPES, default="auto")
    serve.add_argument("--kv-cache-dtype", choices=KV_DTYPES, default="auto")
    serve.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction, default=True)
    serve.add_argument("--kv-transfer-config", type=_kv_transfer_config)
    serve.add_argument("--generation-config", choices=("auto", "vllm"), default="auto")
    serve.add_argument("--additional-config", type=_json_object)
    serve.add_argument("--api-key", nargs="+")
    serve.add_argument("--ssl-certfile")
    serve.add_argument("--ssl-keyfile")
    return commands


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, a positive whole number is needed")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"got {text!r}, a port from 1 to 65535 is needed")
    return int(text)


def _kv_transfer_config(text: str) -> KvTransferConfig:
    try:
        return kv_transfer_config.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _json_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, in {text!r}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"got {text!r}, a JSON object is needed")
    return value
