"""See what becomes of a size where one of the figures that it rests on is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from tandem.simulation.replay import replay
from tandem.simulation.site import Pool, Site, TextSide, Wafers
from tandem.simulation.summary import Summary, summarize
from tandem.traces.trace import Trace


@dataclass(frozen=True, slots=True)
class Changed:
    """Hold a change and what the same machines do under it."""

    change: str
    found: Summary


def sensitivity(site: Site, trace: Trace) -> Iterator[Changed]:
    """Yield what ``site`` does where a figure is off, and where a fifth more requests come."""
    faster = replace(trace, seconds=trace.seconds / 1.2)
    yield Changed("20 % more requests a second", summarize(replay(site, faster)))
    for change, altered in _CHANGES.items():
        other = altered(site)
        if other != site:
            yield Changed(change, summarize(replay(other, trace)))


def _workers(site: Site, flops: float = 1.0, egress: float = 1.0) -> Site:
    def changed(pool: Pool) -> Pool:
        worker = replace(pool.worker, flops=pool.worker.flops * flops)
        return replace(pool, worker=worker, egress=pool.egress * egress)

    decode = tuple(map(changed, site.decode)) if isinstance(site.decode, tuple) else site.decode
    return replace(site, prefill=tuple(map(changed, site.prefill)), decode=decode)


def _decode(site: Site, speed: float = 1.0, ingress: float = 1.0) -> Site:
    decode = site.decode
    if isinstance(decode, Wafers):
        changed: Wafers | TextSide = replace(
            decode, tokens_per_second=decode.tokens_per_second * speed, ingress=decode.ingress * ingress
        )
    elif isinstance(decode, TextSide):
        changed = replace(decode, tokens_per_second=decode.tokens_per_second * speed)
    else:
        pools = (replace(pool, worker=replace(pool.worker, read=pool.worker.read * speed)) for pool in decode)
        return replace(site, decode=tuple(pools))
    return replace(site, decode=changed)


_CHANGES: Final[dict[str, Callable[[Site], Site]]] = {
    "prefill a fifth slower": lambda site: _workers(site, flops=0.8),
    "prefill half as fast again": lambda site: _workers(site, flops=1.5),
    "EFA half as fast": lambda site: _workers(site, egress=0.5),
    "CS-3 ingress half as fast": lambda site: _decode(site, ingress=0.5),
    "decode half as fast": lambda site: _decode(site, speed=0.5),
}
