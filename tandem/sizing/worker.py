"""Hold what one vLLM worker reaches of its chips: operations, reads, and room for KV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from tandem.catalog.machines import Accelerator, Machines
from tandem.catalog.models import Model

_TERA, _GIGA = 1e12, 1e9
_KV_SHARE: Final = 0.9
"""The share of device memory that weights and KV may take together: vLLM's own default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """State operations and bytes read from HBM, both a second as reached, and bytes of memory left for KV.

    ``step`` is what a step takes in seconds besides: launches, collectives, sampling.
    """

    flops: float
    read: float
    step: float
    kv_bytes: float

    @classmethod
    def on(
        cls, model: Model, chip: Accelerator, chips: float, table: Machines, *, tokens_per_second: float | None = None
    ) -> Self:
        """Return a worker of ``model`` on ``chips``; a measured prefill speed goes before the catalog's share."""
        reached = chips * float(chip.bf16_tflops) * _TERA * float(table.efficiency.prefill)
        memory = chips * float(chip.hbm_gb) * _GIGA * _KV_SHARE - model.weight_bytes
        return cls(
            flops=tokens_per_second * 2 * model.active if tokens_per_second else reached,
            read=chips * float(chip.hbm_gb_per_second) * _GIGA * float(table.efficiency.hbm),
            step=float(table.programs.step_seconds),
            kv_bytes=max(0.0, memory),
        )

    def tokens_per_second(self, model: Model) -> float:
        """Return the prompt tokens prefilled a second where prompts are too short for attention to count."""
        return self.flops / (2 * model.active)
