"""What several commands take, and the deployment that they are about."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, TextIO

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, has_errors
from tandem.spec.read import read

ROOT: Final = Path(__file__).parents[2]
TRACE: Final = "a file of Azure's or Mooncake's form, or synthetic:rate=REQUESTS_A_SECOND,... (docs/planning.md)"
SPREAD: Final = "set requests apart that the trace's clock has at one moment"


class Commands(Protocol):
    """What a command is added to: argparse's own type for it has no public name."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:
        """Add a command."""


def add_output(command: argparse.ArgumentParser) -> None:
    """Let the user choose between text and JSON."""
    command.add_argument("--output", choices=["text", "json"], default="text")


def add_templates(command: argparse.ArgumentParser) -> None:
    """Take a deployment file, and templates of it that exist already."""
    command.add_argument("file", type=Path)
    command.add_argument("--app", type=Path, metavar="DIR", help="take this cloud assembly instead of a fresh synth")
    add_output(command)


def usable(file: Path) -> Deployment | None:
    """Return the deployment that ``file`` describes, None where it has errors; tell what was found on stderr."""
    deployment, findings = read(file)
    tell(findings, sys.stderr)
    return None if has_errors(findings) else deployment


def tell(findings: Sequence[Finding], told: TextIO) -> None:
    """Print findings, a line each."""
    for finding in findings:
        print(finding, file=told)
