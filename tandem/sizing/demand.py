"""Say what a steady load asks of each part of a deployment, and what that part has.

Means only: bursts and long tails need a simulation. A part whose use nears 1 queues without end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tandem.catalog.machines import Machines
from tandem.catalog.models import Model
from tandem.sizing import legs
from tandem.sizing.reservation import answer_limit, estimated_tokens
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Cs3Side:
    """Describe ``systems`` CS-3, shared evenly by ``endpoints`` that each hold the weights; ``context`` in tokens."""

    systems: int
    context: int
    endpoints: int = 1


def prefill_limits(load: Load, model: Model, hosts: Sequence[Hosts], machines: Machines) -> Iterator[Limit]:
    """Yield what prefill needs: workers' time, and their links for the KV of whole prompts."""
    rate = sum(each.count / _prefill_seconds(load, model, each) for each in hosts)
    yield Limit(resource="prefill compute", needed=load.requests_per_second, available=rate, unit="requests/s")
    known = [each.count * each.efa_gbps for each in hosts if each.efa_gbps is not None]
    if len(known) == len(hosts):
        reached = legs.efa_gigabytes_per_second(sum(known), machines)
        yield Limit(resource="EFA", needed=_kv_rate(load, model), available=reached, unit="GB/s")


def cs3_limits(load: Load, model: Model, side: Cs3Side, prefill_seconds: float, machines: Machines) -> Iterator[Limit]:
    """Yield what the CS-3 side needs: its ingress, and memory for every stream from reservation to last token.

    Memory is left out where the model's speed at Cerebras is not published.
    """
    ingress = legs.ingress_gigabytes_per_second(side.systems, machines)
    yield Limit(resource="CS-3 ingress", needed=_kv_rate(load, model), available=ingress, unit="GB/s")
    if model.tokens_per_second is not None:
        _, held = _held(load, model, side, prefill_seconds, machines)
        free = side.endpoints * legs.free_bytes(model, side.systems / side.endpoints, machines) / _GIGA
        needed = load.requests_per_second * held / _GIGA
        yield Limit(resource="CS-3 memory", needed=needed, available=free, unit="GB of KV")


def cs3_refused_share(
    load: Load, model: Model, side: Cs3Side, prefill_seconds: float, machines: Machines
) -> float | None:
    """Return the share of requests that find no memory, None where the model's speed at Cerebras is not published.

    By Erlang's loss formula, which holds for any distribution of holding times: requests come at random, as many fit as
    are of mean size, and nobody waits. Long prompts among short ones make it worse.
    """
    if model.tokens_per_second is None:
        return None
    seconds, byte_seconds = _held(load, model, side, prefill_seconds, machines)
    places = side.endpoints * int(
        legs.free_bytes(model, side.systems / side.endpoints, machines) * seconds / byte_seconds
    )
    offered, lost = load.requests_per_second * seconds, 1.0
    for place in range(1, places + 1):
        lost = offered * lost / (place + offered * lost)
    return lost


def _held(load: Load, model: Model, side: Cs3Side, prefill_seconds: float, machines: Machines) -> tuple[float, float]:
    """Return for how long a request holds memory, and how much over that time, in byte seconds.

    Until its prompt is prefilled it holds what the gateway took it for, afterwards its KV and the answer's limit.
    """
    limit = answer_limit(load.answer_tokens)
    reserved = model.kv_bytes(estimated_tokens(load.prompt_tokens, limit, side.context) + limit)
    ingress = legs.ingress_gigabytes_per_second(side.systems, machines)
    after = legs.transfer_seconds(model.kv_bytes(load.prompt_tokens), gigabytes_per_second=ingress)
    after += load.answer_tokens / float(model.tokens_per_second or 1.0)
    held = prefill_seconds * reserved + after * model.kv_bytes(load.prompt_tokens + limit)
    return prefill_seconds + after, held


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
