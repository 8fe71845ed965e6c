"""``tandem validate``: print everything that is wrong with a deployment file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tandem.cli.shared import Commands, add_output, tell
from tandem.spec.findings import Finding, has_errors
from tandem.spec.read import read


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("validate", help="print everything that is wrong with a deployment file")
    command.add_argument("file", type=Path)
    add_output(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    _, findings = read(options.file)
    if options.output == "json":
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        tell(findings, sys.stdout)
        print(f"{options.file}: {_count(findings)}")
    return 1 if has_errors(findings) else 0


def _count(findings: Sequence[Finding]) -> str:
    return f"{len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}"
