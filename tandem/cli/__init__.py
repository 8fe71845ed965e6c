"""The command line ``tandem``: one module a command, which imports what it needs when it runs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from tandem.cli import conformance, diff, doctor, plan, rehearse, schema, simulate, tenant, validate

_COMMANDS: Final = (validate, schema, plan, simulate, diff, rehearse, doctor, conformance, tenant)
_UNREAD: Final = 128 + signal.SIGPIPE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 for findings or a failure, 2 for a wrong command line, 130 when interrupted.

    Where whoever reads the output has gone (``| head``), end quietly with 141, as SIGPIPE would.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # the interpreter flushes once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tandem", description="Check and rehearse deployments of Tandem.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser
