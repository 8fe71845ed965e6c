"""``tandem doctor``: ask AWS whether a file can be deployed, and what runs is sound."""

from __future__ import annotations

import argparse
from pathlib import Path

from tandem.cli.shared import Commands, add_output


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("doctor", help="ask AWS whether a file can be deployed, and what runs is sound")
    command.add_argument("file", type=Path)
    command.add_argument("--live", action="store_true", help="examine what runs, too")
    command.add_argument("--profile", help="the AWS profile to ask with; default: as every AWS tool finds it")
    add_output(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # loads boto3, which the other commands need not wait for
    from tandem.doctor.command import doctor

    return doctor(options.file, live=options.live, profile=options.profile, as_json=options.output == "json")
