"""Say what a steady load asks of each part of a deployment, and what that part has.

Means only: bursts and long tails need a simulation. A part whose use nears 1 queues without end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tandem.catalog.machines import Machines
from tandem.catalog.models import Model
from tandem.sizing import legs
from tandem.sizing.worker import Worker

_GIGA = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """Describe steady traffic by its means; ``cached_share`` of each prompt is in a worker's prefix cache."""

    requests_per_second: float
    prompt_tokens: float
    answer_tokens: float
    cached_share: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Hosts:
    """Describe ``count`` workers of one kind, one a host, and the EFA line rate of each."""

    count: int
    worker: Worker
    efa_gbps: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """Compare what is needed of one resource with what there is, in the same unit."""

    resource: str
    needed: float
    available: float
    unit: str

    @property
    def use(self) -> float:
        """The share that is needed; infinite where there is nothing."""
        return self.needed / self.available if self.available > 0 else float("inf")


def prefill_limits(load: Load, model: Model, hosts: Sequence[Hosts], machines: Machines) -> Iterator[Limit]:
    """Yield what prefill needs: workers' time, and their links for the KV of whole prompts."""
    rate = sum(each.count / _prefill_seconds(load, model, each) for each in hosts)
    yield Limit(resource="prefill compute", needed=load.requests_per_second, available=rate, unit="requests/s")
    known = [each.count * each.efa_gbps for each in hosts if each.efa_gbps is not None]
    if len(known) == len(hosts):
        reached = legs.efa_gigabytes_per_second(sum(known), machines)
        yield Limit(resource="EFA", needed=_kv_rate(load, model), available=reached, unit="GB/s")


def cs3_limits(load: Load, model: Model, systems: int, prefill_seconds: float, machines: Machines) -> Iterator[Limit]:
    """Yield what the CS-3 side needs: its ingress, and memory for every stream from reservation to last token.

    Memory is left out where the model's speed at Cerebras is not published.
    """
    ingress = legs.ingress_gigabytes_per_second(systems, machines)
    yield Limit(resource="CS-3 ingress", needed=_kv_rate(load, model), available=ingress, unit="GB/s")
    if model.tokens_per_second is None:
        return
    held = prefill_seconds + load.answer_tokens / float(model.tokens_per_second)
    held += legs.transfer_seconds(model.kv_bytes(load.prompt_tokens), gigabytes_per_second=ingress)
    each = model.kv_bytes(load.prompt_tokens + load.answer_tokens) / _GIGA
    free = systems * float(machines.cs3.sram_gb) - model.weight_bytes / _GIGA
    needed = load.requests_per_second * held * each
    yield Limit(resource="CS-3 memory", needed=needed, available=max(0.0, free), unit="GB of KV")


def trainium_decode_limit(load: Load, model: Model, hosts: Sequence[Hosts], seqs: int) -> Limit:
    """Return what decoding on Trainium needs: tokens a second, where each worker runs ``seqs`` streams."""
    context = load.prompt_tokens + load.answer_tokens / 2
    rate = 0.0
    for each in hosts:
        rate += each.count * seqs / legs.decode_seconds(model, context, seqs, each.worker)
    needed = load.requests_per_second * load.answer_tokens
    return Limit(resource="decode bandwidth", needed=needed, available=rate, unit="tokens/s")


def mean_prefill_seconds(load: Load, model: Model, hosts: Sequence[Hosts]) -> float:
    """Return how long a mean prompt takes, over workers weighted by what they serve; 0 without workers."""
    total = sum(each.count for each in hosts)
    rate = sum(each.count / _prefill_seconds(load, model, each) for each in hosts)
    return total / rate if rate else 0.0


def _prefill_seconds(load: Load, model: Model, hosts: Hosts) -> float:
    cached = load.prompt_tokens * load.cached_share
    return legs.prefill_seconds(model, load.prompt_tokens, hosts.worker, cached=cached)


def _kv_rate(load: Load, model: Model) -> float:
    return load.requests_per_second * model.kv_bytes(load.prompt_tokens) / _GIGA
