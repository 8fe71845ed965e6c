"""Tell what was asked for and is not what happens."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.standins.vllm.flags import Serve

REAL_MODEL = "SmolLM2-135M-Instruct"


def deviations(serve: Serve, *, context: int) -> Iterator[str]:
    """Yield a sentence for each request of the command line that the stand-in does otherwise."""
    yield f"model {serve.model} requested, {REAL_MODEL} answers in its name"
    if serve.tensor_parallel_size > 1:
        yield f"tensor parallel size {serve.tensor_parallel_size} requested, 1 used and reported to readers"
    if serve.max_model_len is not None and serve.max_model_len > context:
        yield f"max model length {serve.max_model_len} requested, {context} used"
    if serve.max_num_seqs > 1:
        yield f"{serve.max_num_seqs} sequences at a time requested, 1 runs and the others wait"
    if serve.prefix_caching:
        yield "prefix caching requested, not done"
    if serve.dtype not in ("auto", "half", "float16") or serve.kv_cache_dtype not in ("auto", "float16"):
        yield f"dtype {serve.dtype} and KV cache dtype {serve.kv_cache_dtype} requested, KV is float16"
    yield from _handoff(serve)


def _handoff(serve: Serve) -> Iterator[str]:
    config = serve.kv_transfer
    if config is None:
        return
    if config.kv_connector_extra_config.backends != ("UCX",):
        yield f"NIXL backend {', '.join(config.kv_connector_extra_config.backends)} requested, another transport used"
    if config.kv_buffer_device != "cpu":
        yield f"KV on {config.kv_buffer_device} requested, host memory used"
    if config.kv_role == "kv_both":
        yield "kv_role kv_both requested, kv_producer done"
