"""Tell a simulation's summary, as text or as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tandem.simulation.summary import Percentiles, Summary


def text(found: Summary) -> Iterator[str]:
    """Yield the lines of a summary."""
    yield (
        f"{found.answered:,} of {found.requests:,} requests answered: {found.requests_per_second:.3g} a second, "
        f"{found.tokens_per_second:,.0f} tokens a second, {found.answer_tokens_per_second:,.0f} of them answers"
    )
    if found.too_long:
        yield f"{found.too_long:,} are longer than model.max_model_len, and refused as such"
    for code, count in found.refused.items():
        yield f"{count:,} ({count / found.requests:.2%}) refused: {code}"
    if found.cached_share:
        yield f"{found.cached_share:.1%} of prompt tokens came from prefix caches"
    yield ""
    rows = [("", "p50", "p90", "p99"), _row("TTFT", found.ttft)]
    rows += [_row(f"  {phase}", each) for phase, each in found.phases.items()]
    yield from table([*rows, _row("TPOT", found.tpot)], right=(1, 2, 3))
    yield ""
    uses = [(part, f"{use:.1%}", f"{found.peak[part]:.1%}") for part, use in found.use.items()]
    yield from table([("in use", "on average", "at peak"), *uses], right=(1, 2))


def document(found: Summary) -> dict[str, Any]:
    """Return the same for ``--output json``: seconds and shares, null where nothing was measured."""
    told: dict[str, Any] = _known({**asdict(found), "refused_share": found.refused_share})
    return told


def table(rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Yield rows as lines with their columns aligned, those of ``right`` to the right."""
    listed = list(rows)
    widths = [max(len(row[column]) for row in listed) for column in range(len(listed[0]))]
    for row in listed:
        sized = enumerate(zip(row, widths, strict=True))
        yield "  ".join(f"{cell:>{width}}" if i in right else f"{cell:{width}}" for i, (cell, width) in sized).rstrip()


def seconds(value: float) -> str:
    """Return seconds as people say them."""
    if math.isnan(value):
        return "none"
    return f"{value:.3g} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def _row(name: str, each: Percentiles) -> tuple[str, ...]:
    return (name, seconds(each.p50), seconds(each.p90), seconds(each.p99))


def _known(value: Any) -> Any:
    """Return ``value`` as JSON can hold it, which has no NaN."""
    if isinstance(value, dict):
        return {name: _known(each) for name, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
