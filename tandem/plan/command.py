"""Run ``tandem plan``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tandem.assembly import AssemblyError, templates_of
from tandem.plan import carry
from tandem.plan.carry import carried
from tandem.plan.estimate import estimate
from tandem.plan.prices import price_table
from tandem.plan.quantities import Quantity, quantities
from tandem.plan.report import document, text
from tandem.rehearsal.deploy.cdk import CdkError
from tandem.simulation.deployed import UnknownFigureError
from tandem.spec.decode import Cs3, OpenAi
from tandem.spec.deployment import Deployment
from tandem.traces.load import load
from tandem.traces.synthetic import SyntheticError
from tandem.traces.trace import TraceError


def plan(file: Path, deployment: Deployment, *, root: Path, app: Path | None, trace: str | None, as_json: bool) -> int:
    """Print what an hour and a month of ``file`` cost, by the assembly ``app`` or a fresh synth.

    With ``trace``, print first what the requests in it ask of the machines. Return 0, or 1 where templates or trace
    cannot be had.
    """
    try:
        asked = carried(deployment, load(trace)) if trace else None
        templates = templates_of(file, root, app)
    except (AssemblyError, CdkError, TraceError, SyntheticError, UnknownFigureError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    table = price_table()
    counted = [*quantities(templates.values(), table.without_standing_charge), *_elsewhere(deployment)]
    found = estimate(counted, deployment.region, table)
    if as_json:
        held = {"load": carry.document(asked)} if asked else {}
        print(json.dumps({**document(found), **held}, indent=2))
    else:
        print("\n".join([*([*carry.text(asked), ""] if asked else []), *text(found)]))
    return 0


def _elsewhere(deployment: Deployment) -> Iterator[Quantity]:
    """Yield what somebody other than AWS charges for, by a price that no template knows."""
    if isinstance(deployment.decode, Cs3 | OpenAi):
        for endpoint in deployment.decode.endpoints:
            yield Quantity("decode endpoint", 1, f"{endpoint}, charged by its owner")
