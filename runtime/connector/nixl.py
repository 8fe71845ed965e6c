"""Wrap vLLM's ``NixlConnector``: what it hands over is sealed, and its handshake tells the generation of its memory.

Written for vLLM 0.32. Its scheduler and its worker are two processes, each with a connector of its own. A prompt's last
step goes: scheduler (``build_connector_meta``: these prompts end now), worker (``build_connector_worker_meta``: their
seals), scheduler (``request_finished`` makes the parameters, ``update_connector_output`` adds the seals before they are
sent). Decode workers, and models or ranks that cannot be sealed, behave as vLLM's own connector does.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorWorkerMetadata
from vllm.distributed.kv_transfer.kv_connector.v1.nixl.connector import NixlConnector as VllmNixlConnector
from vllm.distributed.kv_transfer.kv_connector.v1.nixl.metadata import NixlHandshakePayload

from runtime.connector.prefilled import Prefilled, Prompts
from runtime.connector.sealer import Sealer, describe
from runtime.handoff import fields
from runtime.handoff.contract import HandoffError

log = logging.getLogger("vllm.tandem")


@dataclass(frozen=True, slots=True)
class Seals(KVConnectorWorkerMetadata):  # type: ignore[misc]  # vLLM is not installed where types are checked
    """Carry seals, in their JSON form, from a worker to its scheduler, by request id."""

    seals: dict[str, Any]

    def aggregate(self, other: Seals) -> Seals:
        """Join the seals of two workers of one step."""
        return Seals({**self.seals, **other.seals})


class NixlConnector(VllmNixlConnector):  # type: ignore[misc]  # likewise
    """Behave as vLLM's connector, and seal."""

    def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self._config = vllm_config
        self._prompts = Prompts()
        self._answers: dict[str, dict[str, Any]] = {}
        self._sealer: Sealer | None = None

    def on_new_request(self, request: Any) -> None:
        """Follow a prompt from its arrival on."""
        super().on_new_request(request)
        self._prompts.begin(request)

    def build_connector_meta(self, scheduler_output: Any) -> Any:
        """Tell the worker which prompts end in this step."""
        meta = super().build_connector_meta(scheduler_output)
        meta.tandem_prefilled = self._prompts.completed(scheduler_output)
        return meta

    def request_finished(self, request: Any, block_ids: list[int]) -> tuple[bool, dict[str, Any] | None]:
        """Keep the parameters, which are not sent before this step's seals are known."""
        return self._kept(request, super().request_finished(request, block_ids))

    def request_finished_all_groups(self, request: Any, block_ids: Any) -> tuple[bool, dict[str, Any] | None]:
        """Do the same for models with several groups of KV layers."""
        return self._kept(request, super().request_finished_all_groups(request, block_ids))

    def update_connector_output(self, connector_output: Any) -> None:
        """Add this step's seals to the parameters."""
        super().update_connector_output(connector_output)
        found = connector_output.kv_connector_worker_meta
        for name, seal in (found.seals if isinstance(found, Seals) else {}).items():
            if name in self._answers:
                self._answers.pop(name)[fields.TANDEM] = {fields.SEAL: seal}
        self._answers.clear()

    def register_kv_caches(self, kv_caches: dict[str, torch.Tensor]) -> None:
        """Have the handshake tell the generation of what was registered."""
        super().register_kv_caches(kv_caches)
        self._sealer = self._sealer_of(list(kv_caches.values()))
        if self._sealer is None:
            return
        payload = self.connector_worker.xfer_handshake_metadata
        metadata = msgspec.msgpack.decode(payload.agent_metadata_bytes)
        metadata["tandem_generation"] = self._sealer.generation
        self.connector_worker.xfer_handshake_metadata = NixlHandshakePayload(
            compatibility_hash=payload.compatibility_hash, agent_metadata_bytes=msgspec.msgpack.encode(metadata)
        )

    def build_connector_worker_meta(self) -> Seals | None:
        """Seal the prompts that ended in this step."""
        prompts: dict[str, Prefilled] = getattr(self._get_connector_metadata(), "tandem_prefilled", {})
        if self._sealer is None or not prompts:
            return None
        seals = {}
        for name, prompt in prompts.items():
            try:
                seals[name] = self._sealer.seal(prompt).params()
            except HandoffError as error:
                log.error("request %s is handed over without a seal: %s", name, error)
        return Seals(seals)

    def _kept(self, request: Any, answer: tuple[bool, dict[str, Any] | None]) -> tuple[bool, dict[str, Any] | None]:
        self._prompts.end(request)
        held, params = answer
        if held and params:
            self._answers[request.request_id] = params
        return answer

    def _sealer_of(self, regions: list[torch.Tensor]) -> Sealer | None:
        parallel = self._config.parallel_config
        first = regions[0]
        whole = parallel.world_size == 1 and first.device.type == "cpu" and all(each.dim() == 4 for each in regions)
        kind = (self.connector_worker.backend_name, _instructions(self._config, first)) if whole else ("", "")
        description = describe([tuple(each.shape) for each in regions], str(first.dtype), kind)
        if description is None:
            log.warning("KV is handed over without seals: its layout is not known, or it lies in several ranks")
            return None
        return Sealer(description, [each.view(torch.uint8).numpy() for each in regions])


def _instructions(config: Any, region: torch.Tensor) -> str:
    """Return the instruction set that vLLM's CPU backend packs KV for."""
    from vllm.v1.attention.backends.cpu_attn import _get_attn_isa

    isa: str = _get_attn_isa(config.model_config.dtype, region.shape[2], region.shape[3] // 2, "auto")
    return isa
