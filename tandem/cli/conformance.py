"""``tandem conformance``: hold a decode endpoint against the contract."""

from __future__ import annotations

import argparse
import sys

from tandem.cli.shared import Commands, add_output


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("conformance", help="hold a decode endpoint against the contract")
    command.add_argument("url", help="its base URL; keys come from TANDEM_DECODE_KEY and TANDEM_TICKET_KEY")
    command.add_argument("--model", required=True, help="the model's name there")
    command.add_argument("--host", default="127.0.0.1", help="this machine's address, as the endpoint reaches it")
    command.add_argument("--prefill", metavar="URL", help="use this prefill worker (TANDEM_PREFILL_KEY), start none")
    command.add_argument("--clause", action="append", default=[], help="examine this one only; may be repeated")
    add_output(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # loads NIXL, which the other commands need not wait for
    from tandem.conformance.clauses import CLAUSES
    from tandem.conformance.command import Subject, conformance

    if unknown := [name for name in options.clause if name not in CLAUSES]:
        print(f"unknown clause {unknown[0]!r}, the contract has {', '.join(CLAUSES)}", file=sys.stderr)
        return 2
    subject = Subject(url=options.url, model=options.model, host=options.host, prefill=options.prefill)
    return conformance(subject, only=options.clause, as_json=options.output == "json")
