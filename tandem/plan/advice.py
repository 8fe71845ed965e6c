"""Say in words what limits a deployment, and what would have to change."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.catalog.models import Model
from tandem.plan.search import Found, Point
from tandem.plan.targets import Targets
from tandem.simulation.site import Site, fastest_token
from tandem.simulation.summary import Summary
from tandem.simulation.tell import seconds
from tandem.sizing.legs import prefill_seconds


def limits(found: Found) -> Iterator[str]:
    """Yield what is missed with one machine fewer along each axis, and so what each size is there for."""
    for axis, point in zip(found.shape.axes, found.below, strict=True):
        if point is None:
            if axis.most:
                yield f"{axis.unit}: {axis.least} is the least there can be"
            continue
        missed = found.aimed.missed(point.found)
        if missed:
            reasons = "; ".join(_miss(name, point, found) for name in missed)
            yield f"{axis.unit}: with one fewer, {reasons}"


def unmet(found: Found, targets: Targets) -> Iterator[str]:
    """Yield, for each target that no number of machines meets, which limit binds and what would have to change."""
    site, floor = found.shape.site(*found.floor.size), found.floor.found
    for name in found.unmet:
        if name == "ttft":
            yield _slow_start(site, floor, targets.ttft_p99)
        elif name == "tpot":
            # where arithmetic alone rules the target out, no machines were added for it
            sure = fastest_token(site)
            best = sure if sure > targets.tpot_p99 else floor.tpot.p99
            yield (
                f"TPOT p99 {seconds(targets.tpot_p99)} cannot be met: {seconds(best)} at best, "
                f"bound by {_stream(site)}; streams would have to be {best / targets.tpot_p99:.2g} x as fast"
            )
        else:
            codes = ", ".join(f"{count:,} {code}" for code, count in floor.refused.items())
            yield f"refusals cannot be avoided by more machines: {codes}"


def _slow_start(site: Site, floor: Summary, target: float) -> str:
    phase = max(floor.tail, key=lambda name: floor.tail[name])
    told = f"TTFT p99 {seconds(target)} cannot be met: {seconds(floor.ttft.p99)} at best, bound by "
    rest = sum(value for name, value in floor.tail.items() if name != phase)
    factor = floor.tail[phase] / max(1e-9, target - rest)
    if phase == "handoff":
        return told + f"the links (EFA, CS-3 ingress), which would have to be {factor:.2g} x as fast"
    if rest >= target:
        return told + "prefill compute and its queue alike: shorten prompts, or choose faster workers"
    if not site.prefill:
        return told + f"the prefill of long prompts, which would have to be {factor:.2g} x as fast"
    longest = _longest(site.model, site, target - floor.tail["handoff"])
    return told + (
        f"prefill compute: the slowest 2 % of prompts take {seconds(floor.tail['prefill'])} on a worker of their own, "
        f"more workers do not help; workers {factor:.2g} x as fast would, or prompts of at most {longest:,} tokens "
        "that no cache holds"
    )


def _longest(model: Model, site: Site, target: float) -> int:
    """Return the longest prompt that an idle worker prefills within ``target`` seconds."""
    worker = max((pool.worker for pool in site.prefill), key=lambda worker: worker.flops)
    low, high = 0, site.context
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if prefill_seconds(model, middle, worker) <= target else (low, middle - 1)
    return low


def _miss(name: str, point: Point, found: Found) -> str:
    summary = point.found
    if name == "ttft":
        phase = max(summary.tail, key=lambda each: summary.tail[each])
        part = {"queue": "prefill compute", "prefill": "prefill compute", "handoff": "links and decode"}[phase]
        return f"TTFT p99 is {seconds(summary.ttft.p99)} ({part})"
    if name == "tpot":
        return f"TPOT p99 is {seconds(summary.tpot.p99)} ({_stream(found.shape.site(*point.size))})"
    codes = ", ".join(summary.refused)
    part = "CS-3 memory" if "capacity" in summary.refused else codes
    return f"{summary.refused_share:.2%} are refused ({part})"


def _stream(site: Site) -> str:
    return "HBM bandwidth of the decoding workers" if isinstance(site.decode, tuple) else "the CS-3's published speed"
