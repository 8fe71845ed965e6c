"""Estimate the legs of one request: prefill on Trainium, the KV cache's way, decode.

Each is the larger of what limits it, at the share of the limit that the catalog says is reached. Queues are not in it.
"""

from __future__ import annotations

from tandem.catalog.machines import Machines
from tandem.catalog.models import Model
from tandem.sizing.worker import Worker

_GIGA = 1e9


def prefill_flops(model: Model, tokens: float, cached: float = 0.0) -> float:
    """Return the work of a prompt whose first ``cached`` tokens need none.

    Two operations a parameter and token; attention takes four a query head's width for each pair of a new token and
    one before it, half of which causality saves, and windows bound the pairs.
    """
    new = tokens - cached
    windowed = model.windows.layers if model.windows else 0
    pairs = new * cached + new * new / 2
    near = min(pairs, new * model.windows.tokens) if model.windows else 0.0
    width = model.query_heads * model.attention.head_dim
    return 2 * model.active * new + 4 * width * ((model.layers - windowed) * pairs + windowed * near)


def prefill_seconds(model: Model, tokens: float, worker: Worker, *, cached: float = 0.0) -> float:
    """Return how long a worker takes for one prompt: by arithmetic, or by one step that reads the weights."""
    return max(prefill_flops(model, tokens, cached) / worker.flops, worker.step + model.weight_bytes / worker.read)


def transfer_seconds(nbytes: float, *, gigabytes_per_second: float) -> float:
    """Return how long KV of ``nbytes`` takes over a link of this rate."""
    return nbytes / (gigabytes_per_second * _GIGA)


def efa_gigabytes_per_second(gbps: float, machines: Machines) -> float:
    """Return what is reached of an EFA line rate of ``gbps``."""
    return gbps / 8 * float(machines.efficiency.efa)


def ingress_gigabytes_per_second(systems: int, machines: Machines) -> float:
    """Return what is reached of the line rate into ``systems`` CS-3 systems."""
    return systems * float(machines.cs3.ingress_gb_per_second) * float(machines.efficiency.ingress)


def free_bytes(model: Model, systems: float, machines: Machines) -> float:
    """Return what one copy of the weights leaves of the memory of ``systems`` CS-3."""
    return max(0.0, systems * float(machines.cs3.sram_gb) * _GIGA - model.weight_bytes)


def decode_seconds(model: Model, context: float, streams: float, worker: Worker) -> float:
    """Return the time of one token of ``streams`` decoded together: weights and every stream's KV are read once."""
    read = model.active * model.bytes_per_parameter + streams * model.kv_bytes(context)
    return worker.step + read / worker.read
