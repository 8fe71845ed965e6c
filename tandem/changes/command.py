"""Run ``tandem diff``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tandem.assembly import AssemblyError, read_templates, templates_of
from tandem.changes.compare import compare
from tandem.changes.consequence import Consequence
from tandem.changes.deployed import DeployedError, deployed_templates
from tandem.changes.report import document, text
from tandem.changes.schemas import SchemaError
from tandem.rehearsal.deploy.cdk import CdkError
from tandem.spec.deployment import Deployment


def diff(
    file: Path,
    deployment: Deployment,
    *,
    root: Path,
    app: Path | None,
    against: Path | None,
    as_json: bool,
    allow_data_loss: bool,
) -> int:
    """Print what deploying ``file`` does to what is deployed, or to the templates in ``against``.

    The new templates are those of the assembly ``app``, or of a fresh synth. Return 1 where data is at risk (unless
    ``allow_data_loss``) or the templates cannot be had, else 0.
    """
    try:
        new = templates_of(file, root, app)
        old = read_templates(against) if against else deployed_templates(deployment.name, deployment.region, new.keys())
        comparison = compare(old, new, deployment.region)
    except (AssemblyError, CdkError, DeployedError, SchemaError) as error:
        print(error, file=sys.stderr)
        return 1
    lines = [json.dumps(document(comparison), indent=2)] if as_json else text(comparison)
    print("\n".join(lines))
    return 1 if comparison.count(Consequence.DATA_AT_RISK) and not allow_data_loss else 0
