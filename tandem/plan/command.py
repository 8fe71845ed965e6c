"""Run ``tandem plan``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tandem.assembly import AssemblyError, templates_of
from tandem.plan.estimate import estimate
from tandem.plan.prices import price_table
from tandem.plan.quantities import Quantity, quantities
from tandem.plan.report import document, text
from tandem.rehearsal.cdk import CdkError
from tandem.spec.deployment import Cs3, Deployment, OpenAi


def plan(file: Path, deployment: Deployment, *, root: Path, app: Path | None, as_json: bool) -> int:
    """Print what an hour and a month of ``file`` cost, by the assembly ``app`` or a fresh synth.

    Return 0, or 1 where the templates cannot be had.
    """
    try:
        templates = templates_of(file, root, app)
    except (AssemblyError, CdkError) as error:
        print(error, file=sys.stderr)
        return 1
    table = price_table()
    counted = [*quantities(templates.values(), table.without_standing_charge), *_elsewhere(deployment)]
    found = estimate(counted, deployment.region, table)
    print("\n".join([json.dumps(document(found), indent=2)] if as_json else text(found)))
    return 0


def _elsewhere(deployment: Deployment) -> Iterator[Quantity]:
    """Yield what somebody other than AWS charges for, by a price that no template knows."""
    if isinstance(deployment.decode, Cs3 | OpenAi):
        yield Quantity("decode endpoint", 1, f"{deployment.decode.endpoint}, charged by its owner")
