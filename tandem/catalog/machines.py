"""Read what accelerators, the CS-3 and the links between them can do, from ``machines.yaml``."""

from __future__ import annotations

import functools
from pathlib import Path

import yaml

from tandem.catalog.figure import Entry, Figure

_FILE = Path(__file__).with_name("machines.yaml")


class Accelerator(Entry):
    """Describe one Trainium chip; TFLOPS are dense."""

    instance_families: tuple[str, ...]
    bf16_tflops: Figure
    fp8_tflops: Figure
    hbm_gb: Figure
    hbm_gb_per_second: Figure


class Wafer(Entry):
    """Describe one CS-3; ``weight_share`` is how much of its memory weights may take, the rest is for KV."""

    sram_gb: Figure
    bf16_tflops: Figure
    ingress_gb_per_second: Figure
    weight_share: Figure


class Efficiency(Entry):
    """State which share of each limit is reached in practice."""

    prefill: Figure
    efa: Figure
    ingress: Figure
    hbm: Figure


class Programs(Entry):
    """State what programs add: a vLLM step's tokens and seconds, seconds of a call, seconds a reservation waits."""

    batched_tokens: Figure
    step_seconds: Figure
    call_seconds: Figure
    reservation_seconds: Figure
    endpoint_repair_seconds: Figure


class Machines(Entry):
    """Hold the whole table."""

    accelerators: dict[str, Accelerator]
    cs3: Wafer
    efficiency: Efficiency
    programs: Programs

    def accelerator_of(self, instance_type: str) -> Accelerator | None:
        """Return the chip of an EC2 instance type, or None for a family that the table does not know."""
        family = instance_type.partition(".")[0]
        return next((chip for chip in self.accelerators.values() if family in chip.instance_families), None)


@functools.cache
def machines() -> Machines:
    """Return the table that ships with Tandem."""
    return Machines.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
