"""Run ``tandem`` in the embedded account as its operator does, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tandem.rehearsal.deploy.site import Site
from tandem.rehearsal.errors import RehearsalError


class OperatorError(RehearsalError):
    """Show what a command printed where it should have printed JSON."""


def tandem(here: Site, *arguments: str) -> Any:
    """Return what ``tandem ARGUMENTS --output json`` prints, whatever its status; raise ``OperatorError`` for no JSON.

    Names resolve and endpoints are trusted as inside the VPC.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tandem.cli", *arguments, "--output", "json"],
        cwd=here.machine.root,
        env={**here.cdk.environment, **here.machine.environment(), **here.cloud.environment()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        said = (done.stderr or done.stdout).strip()
        raise OperatorError(f"tandem {' '.join(arguments)} ended with {done.returncode} and said: {said}") from error
