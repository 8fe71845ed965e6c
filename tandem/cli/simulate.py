"""``tandem simulate``: replay a request trace through a deployment file."""

from __future__ import annotations

import argparse
from pathlib import Path

from tandem.cli import values
from tandem.cli.shared import SPREAD, TRACE, Commands, add_output, usable


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("simulate", help="replay a request trace through a deployment file")
    command.add_argument("file", type=Path)
    command.add_argument("--trace", required=True, metavar="TRACE", help=TRACE)
    command.add_argument("--spread", action="store_true", help=SPREAD)
    command.add_argument(
        "--failures",
        type=values.hours,
        metavar="HOURS",
        help="let each prefill host fail once in so many hours on average",
    )
    command.add_argument(
        "--decode-failures",
        type=values.hours,
        metavar="HOURS",
        help="the same for each decode endpoint or decode host",
    )
    command.add_argument(
        "--tenants", type=values.senders, default=1, metavar="N", help="tenants that share the requests"
    )
    command.add_argument("--html", type=Path, metavar="OUT", help="draw the report into this file")
    add_output(command)
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if (deployment := usable(options.file)) is None:
        return 1
    from tandem.simulation.command import simulate

    return simulate(
        options.file,
        deployment,
        trace=options.trace,
        apart=options.spread,
        failures=options.failures,
        decode_failures=options.decode_failures,
        tenants=options.tenants,
        as_json=options.output == "json",
        html=options.html,
    )
