"""Check ``--kv-transfer-config`` as vLLM's ``KVTransferConfig`` does, and its extra part more strictly.

vLLM ignores an unknown key of ``kv_connector_extra_config``; here it is refused, so that a misspelt one is found.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

import msgspec

Seconds = Annotated[int, msgspec.Meta(ge=1)]


class NixlExtra(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Hold what vLLM 0.33's NIXL connector reads from ``kv_connector_extra_config``; times are in seconds."""

    backends: Annotated[tuple[Literal["UCX", "LIBFABRIC"], ...], msgspec.Meta(min_length=1)] = ("UCX",)
    kv_lease_duration: Seconds = 30
    decoder_kv_blocks_ttl: Seconds = 480
    kv_recompute_threshold: Annotated[int, msgspec.Meta(ge=0)] = 64
    push_registration_timeout: Seconds = 480
    enforce_handshake_compat: bool = True
    bidirectional_kv_xfer: Literal[False] = False
    num_threads: Annotated[int, msgspec.Meta(ge=1)] | None = None


class KvTransferConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Hold vLLM's ``KVTransferConfig`` for the NIXL pull connector; other connectors are not stood in for."""

    kv_connector: Literal["NixlConnector", "NeuronNixlConnector"]
    kv_role: Literal["kv_producer", "kv_consumer", "kv_both"]
    engine_id: str = msgspec.field(default_factory=lambda: str(uuid.uuid4()))
    kv_buffer_device: Literal["cuda", "cpu", "neuron"] = "cuda"
    kv_buffer_size: float = 1e9
    kv_rank: int | None = None
    kv_parallel_size: int = 1
    kv_ip: str = "127.0.0.1"
    kv_port: int = 14579
    kv_connector_extra_config: NixlExtra = NixlExtra()
    kv_connector_module_path: str | None = None
    enable_permute_local_kv: Literal[False] = False
    kv_load_failure_policy: Literal["fail", "recompute"] = "fail"


def parse(text: str) -> KvTransferConfig:
    """Return the configuration; raise ``ValueError`` that names the key, what it holds and what it may hold."""
    try:
        return msgspec.json.decode(text, type=KvTransferConfig)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{error}, in {text!r}") from error
