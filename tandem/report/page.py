"""Lay out a report as one HTML file that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from tandem.report.charts import Axis, Series, plot
from tandem.simulation.outcome import Column, Outcome
from tandem.simulation.tell import seconds

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --faint: #d8d8d8;
  --c0: #0b62a8; --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; --c4: #b45309; --c5: #0e7490 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --faint: #3a3d42;
  --c0: #60a5fa; --c1: #fb923c; --c2: #4ade80; --c3: #c084fc; --c4: #fbbf24; --c5: #22d3ee } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 84rem; margin: 2rem auto; padding: 0 1rem }
pre { font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap;
  overflow-x: auto; border-left: 3px solid var(--c0); padding-left: 1rem }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.5rem }
figure { margin: 0 } figcaption { font-weight: 600 } svg { width: 100%; height: auto }
text { font-size: 11px; fill: var(--ink) } .mid { text-anchor: middle } .end { text-anchor: end }
.grid { stroke: var(--faint) } .line { fill: none; stroke-width: 1.8 } .dot { stroke: var(--paper) }
.c0 { --c: var(--c0) } .c1 { --c: var(--c1) } .c2 { --c: var(--c2) }
.c3 { --c: var(--c3) } .c4 { --c: var(--c4) } .c5 { --c: var(--c5) }
.line { stroke: var(--c) } .dot, .key { fill: var(--c) }
"""
_QUANTILES = np.linspace(0, 100, 201)


def page(title: str, lines: Iterable[str], plots: Sequence[str]) -> str:
    """Return the HTML of a report: what was told, then the plots."""
    told = escape("\n".join(lines))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1><pre>{told}</pre><main>{''.join(plots)}</main></body></html>\n"
    )


def outcome_plots(outcome: Outcome) -> list[str]:
    """Return the plots of one replay: both distributions, the phases, and use over time."""
    share = Axis("share of requests", lambda value: f"{value:.0%}")
    phases = {"queue": outcome.queue, "prefill": outcome.prefill, "handoff": outcome.handoff}
    return [
        plot("Time to first token", _time(log=True), share, [_distribution("TTFT", outcome.ttft)]),
        plot("Time per output token", _time(log=False), share, [_distribution("TPOT", outcome.tpot)]),
        plot("Where the time to the first token goes", _time(log=True), share, _distributions(phases)),
        plot("Use over time", *_over_time(), [_use(part, use, outcome.span) for part, use in outcome.use.items()]),
    ]


def _time(*, log: bool) -> Axis:
    return Axis("time", seconds, log=log)


def _over_time() -> tuple[Axis, Axis]:
    return Axis("minutes since the first request", lambda value: f"{value:.0f}"), Axis("in use", lambda v: f"{v:.0%}")


def _distributions(columns: dict[str, Column]) -> list[Series]:
    return [_distribution(name, column) for name, column in columns.items()]


def _distribution(name: str, column: Column) -> Series:
    known = column[np.isfinite(column) & (column > 0)]
    if not len(known):
        return Series(name, [])
    values = np.percentile(known, _QUANTILES)
    # those of no time at all stand before the first point
    zero = 1 - len(known) / max(1, int(np.isfinite(column).sum()))
    shares = zero + (1 - zero) * _QUANTILES / 100
    return Series(name, list(zip(values.tolist(), shares.tolist(), strict=True)))


def _use(part: str, use: Column, span: float) -> Series:
    minutes = (np.arange(len(use)) + 0.5) * span / len(use) / 60
    return Series(part, list(zip(minutes.tolist(), use.tolist(), strict=True)))
