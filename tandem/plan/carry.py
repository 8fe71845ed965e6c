"""Tell how much of each limit of a deployment a trace uses: on average, and in its busiest minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tandem.simulation.deployed import known_model
from tandem.sizing.demand import Limit, Load
from tandem.spec.deployment import Deployment
from tandem.spec.limits import limits
from tandem.traces.means import busiest_load, mean_load, reused_share
from tandem.traces.trace import Trace

_HEAD = ("limit", "there is", "needed on average", "", "in the busiest minute", "")


@dataclass(frozen=True, slots=True)
class Carried:
    """Hold the two loads of a trace, and each limit under both; prefix caches are taken to hold nothing."""

    mean: Load
    busiest: Load
    reused: float
    limits: tuple[tuple[Limit, Limit], ...]


def carried(deployment: Deployment, trace: Trace) -> Carried:
    """Return what ``trace`` asks of ``deployment``; raise ``UnknownFigureError``."""
    model = known_model(deployment)
    mean, busiest = mean_load(trace), busiest_load(trace)
    both = zip(limits(deployment, mean, model), limits(deployment, busiest, model), strict=True)
    return Carried(mean, busiest, reused_share(trace), tuple(both))


def text(found: Carried) -> Iterator[str]:
    """Yield the lines of a table, the tightest limit first."""
    for name, load in (("on average", found.mean), ("busiest minute", found.busiest)):
        yield (
            f"{name}: {load.requests_per_second:.3g} requests/s, "
            f"prompts of {load.prompt_tokens:.0f} tokens, answers of {load.answer_tokens:.0f}"
        )
    if found.reused:
        yield f"{found.reused:.0%} of prompt blocks came before; a prefix cache that holds them saves that much prefill"
    table = [_HEAD, *(_row(*pair) for pair in sorted(found.limits, key=lambda pair: -pair[1].use))]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    for row in table:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    if not found.limits:
        yield "no limit is known: say decode.systems, or name instance types of the catalog"


def document(found: Carried) -> dict[str, Any]:
    """Return the same for ``--output json``."""
    return {
        "mean": asdict(found.mean),
        "busiest": asdict(found.busiest),
        "reused_share": round(found.reused, 4),
        "limits": [
            {
                "resource": mean.resource,
                "unit": mean.unit,
                "available": {"mean": mean.available, "busiest": busiest.available},
                "needed": {"mean": mean.needed, "busiest": busiest.needed},
            }
            for mean, busiest in found.limits
        ],
    }


def _row(mean: Limit, busiest: Limit) -> tuple[str, ...]:
    there = f"{busiest.available:.4g} {busiest.unit}"
    return (
        mean.resource,
        there,
        f"{mean.needed:.4g}",
        f"{mean.use:.0%}",
        f"{busiest.needed:.4g}",
        f"{busiest.use:.0%}",
    )
