"""Run ``tandem simulate``."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from tandem.catalog.machines import machines as table
from tandem.report.page import outcome_plots, page
from tandem.simulation import tell
from tandem.simulation.deployed import UnknownFigureError, site_of
from tandem.simulation.outages import Outages
from tandem.simulation.replay import replay
from tandem.simulation.summary import summarize
from tandem.spec.decode import Cs3, OpenAi
from tandem.spec.deployment import Deployment
from tandem.spec.workers import Workers
from tandem.traces.load import load
from tandem.traces.spread import spread
from tandem.traces.synthetic import SyntheticError
from tandem.traces.trace import TraceError


def simulate(
    file: Path,
    deployment: Deployment,
    *,
    trace: str,
    apart: bool,
    failures: float | None,
    decode_failures: float | None,
    tenants: int,
    as_json: bool,
    html: Path | None,
) -> int:
    """Print what becomes of the requests of ``trace`` at ``deployment``; draw it into ``html``.

    ``apart`` sets requests of one moment apart, ``failures`` are the mean hours between two of a prefill host,
    ``decode_failures`` between two of what decodes, ``tenants`` how many send as many requests each.

    Return 0, or 1 where trace or catalog do not suffice.
    """
    try:
        site, requests = site_of(deployment), load(trace)
        site = replace(
            site,
            tenants=tenants,
            outages=_outages(deployment.prefill, failures),
            decode_outages=_outages(deployment.decode, decode_failures),
        )
        requests = spread(requests) if apart else requests
    except (UnknownFigureError, TraceError, SyntheticError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    began = time.perf_counter()
    outcome = replay(site, requests)
    took = time.perf_counter() - began
    found = summarize(outcome)
    if html:
        drawn = page(f"{file.name} under {Path(trace).name}", tell.text(found), outcome_plots(outcome))
        html.write_text(drawn, encoding="utf-8")
    if as_json:
        print(json.dumps({"file": str(file), "trace": trace, **tell.document(found)}, indent=2))
    else:
        print("\n".join(tell.text(found)))
        print(f"\nsimulated in {took:.1f} s" + (f"; report: {html}" if html else ""))
    return 0


def _outages(machines: Workers | Cs3 | OpenAi | None, hours: float | None) -> Outages | None:
    """Return how what fails once in ``hours`` does so; a worker is back after a warm start."""
    if machines is None or not hours:
        return None
    known = machines.warm_start_seconds if isinstance(machines, Workers) else None
    repair = float(table().programs.endpoint_repair_seconds) if known is None else known
    return Outages(between=hours * 3600, repair=repair)
