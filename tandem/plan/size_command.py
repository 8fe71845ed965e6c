"""Run ``tandem plan`` with targets: find the smallest deployment that meets them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tandem.plan import tell
from tandem.plan.plots import plots
from tandem.plan.recommend import Recommendation, recommend
from tandem.plan.rewrite import RewriteError, places, rewritten
from tandem.plan.targets import Targets
from tandem.report.page import page
from tandem.simulation.deployed import UnknownFigureError
from tandem.spec.decode import OpenAi
from tandem.spec.deployment import Deployment
from tandem.traces.load import load
from tandem.traces.spread import most_at_once, spread
from tandem.traces.synthetic import SyntheticError
from tandem.traces.trace import Trace, TraceError


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """Hold what was asked for on the command line."""

    targets: Targets
    trace: str
    spread: bool
    system_usd: float | None
    html: Path
    write: Path | None
    as_json: bool


def size(file: Path, deployment: Deployment, wish: Wish) -> int:
    """Print a recommendation, draw it, and write it back where that is wished.

    Return 0, also for targets that nothing meets; 1 where trace, catalog or file do not suffice.
    """
    if isinstance(deployment.decode, OpenAi) or deployment.prefill is None:
        print("decode.provider is openai: its owner sizes it, there is nothing to search", file=sys.stderr)
        return 1
    began = time.perf_counter()
    try:
        trace = load(wish.trace)
        trace = spread(trace) if wish.spread else trace
        found = recommend(deployment, trace, wish.targets, system_usd=wish.system_usd, told=_progress())
        if wish.write:
            _write(file, deployment, found, wish.write)
    except (UnknownFigureError, TraceError, SyntheticError, RewriteError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    lines = [*_crowd(trace), *tell.text(found)]
    title = f"{file.name} under {Path(wish.trace).name}"
    wish.html.write_text(page(title, lines, plots(found)), encoding="utf-8")
    if wish.as_json:
        print(json.dumps({"file": str(file), "trace": wish.trace, **tell.document(found)}, indent=2))
    else:
        written = f"; written: {wish.write}" if wish.write else ""
        print("\n".join(lines))
        print(f"\nsearched for {time.perf_counter() - began:.0f} s; report: {wish.html}{written}")
    return 0


def _write(file: Path, deployment: Deployment, found: Recommendation, out: Path) -> None:
    text, findings = rewritten(file.read_text(encoding="utf-8"), places(deployment, found.own.point.size), out)
    out.write_text(text, encoding="utf-8")
    for finding in findings:
        print(finding, file=sys.stderr)


def _crowd(trace: Trace) -> list[str]:
    most = most_at_once(trace)
    if most < 2:
        return []
    return [f"the trace's clock is coarse: up to {most} requests come at one moment; --spread sets them apart"]


def _progress() -> Callable[[], None]:
    """Return what counts replays on a terminal, and is silent elsewhere."""
    count = 0

    def told() -> None:
        nonlocal count
        count += 1
        if sys.stderr.isatty():
            print(f"\r{count} deployments simulated", end="", file=sys.stderr, flush=True)

    return told
