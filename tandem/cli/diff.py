"""``tandem diff``: explain what deploying a file does to what is deployed."""

from __future__ import annotations

import argparse
from pathlib import Path

from tandem.cli.shared import ROOT, Commands, add_templates, usable


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("diff", help="explain what deploying a file does to what is deployed")
    add_templates(command)
    command.add_argument(
        "--against", type=Path, metavar="DIR", help="compare with these templates, not the deployed ones"
    )
    command.add_argument("--allow-data-loss", action="store_true", help="return 0 though data is at risk")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if (deployment := usable(options.file)) is None:
        return 1
    from tandem.changes.command import diff

    return diff(
        options.file,
        deployment,
        root=ROOT,
        app=options.app,
        against=options.against,
        as_json=options.output == "json",
        allow_data_loss=options.allow_data_loss,
    )
