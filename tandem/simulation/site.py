"""State what is simulated: machines, bounds and periods, each as a number."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.gateway.admission.limits import Capacity, Limits
from runtime.gateway.routing.disaggregation import Thresholds
from tandem.catalog.models import Model
from tandem.simulation.outages import Outages
from tandem.sizing.worker import Worker
from tandem.spec.demand import Demand


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """Say how a pool follows the prompts: up to ``most`` hosts, each of which takes ``start_seconds`` to serve."""

    demand: Demand
    most: int
    start_seconds: float
    scale_in_minutes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Hold ``count`` equal workers, at first where it scales, and the bytes a second that each sends over EFA."""

    name: str
    count: int
    worker: Worker
    egress: float
    scaling: Scaling | None = None

    @property
    def most(self) -> int:
        """The most workers that there may be."""
        return self.scaling.most if self.scaling else self.count


@dataclass(frozen=True, kw_only=True, slots=True)
class Wafers:
    """Hold ``endpoints`` of the decode endpoint contract, each with its KV memory, ingress and speed of a stream."""

    endpoints: int
    kv_bytes: float
    ingress: float
    tokens_per_second: float
    ttl_seconds: float
    """How long a reservation waits for its prefill."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSide:
    """Hold an endpoint that is handed text: what it computes a second for prompts, and its speed of a stream."""

    flops: float
    kv_bytes: float
    tokens_per_second: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Hold a deployment as the simulation needs it; ``decode`` says which of the forms it has.

    ``prefill`` is empty where decode workers prefill by themselves (aggregated), or the endpoint is handed text.
    """

    model: Model
    context: int
    prefill: tuple[Pool, ...]
    decode: Wafers | TextSide | tuple[Pool, ...]
    max_num_seqs: int
    decode_max_num_seqs: int
    max_num_batched_tokens: int
    lease_seconds: float
    gateways: int
    admission: Capacity
    """What one gateway takes on."""
    tenant: Limits
    """What the deployment lets one tenant ask for."""
    call_seconds: float
    """What one call from program to program takes besides its work."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """When a prompt is worth a prefill worker, where decode workers could prefill it."""
    tenants: int = 1
    """How many send the requests, each as many."""
    outages: Outages | None = None
    """Of prefill workers."""
    decode_outages: Outages | None = None
    """Of endpoints and decode workers."""


def fastest_token(site: Site) -> float:
    """Return the seconds that no token of a stream takes less than, however many machines there are."""
    if isinstance(site.decode, Wafers | TextSide):
        return 1 / site.decode.tokens_per_second
    weights = site.model.active * site.model.bytes_per_parameter
    return min(pool.worker.step + weights / pool.worker.read for pool in site.decode)
