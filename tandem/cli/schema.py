"""``tandem schema``: print the JSON Schema of the deployment file."""

from __future__ import annotations

import argparse
import json
from typing import Final

from tandem.cli.shared import Commands
from tandem.spec.deployment import Deployment

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("schema", help="print the JSON Schema of the deployment file, for editors")
    command.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    print(json.dumps({"$schema": _DIALECT, **Deployment.model_json_schema()}, indent=2))
    return 0
