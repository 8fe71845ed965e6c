"""``tandem plan``: say what a deployment costs and carries, and with targets, how large it should be."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tandem.cli import values
from tandem.cli.shared import ROOT, SPREAD, TRACE, Commands, add_templates, usable
from tandem.spec.deployment import Deployment


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("plan", help="say what a deployment file costs, and what it can carry")
    add_templates(command)
    command.add_argument("--trace", metavar="TRACE", help=TRACE)
    command.add_argument("--spread", action="store_true", help=SPREAD)
    command.add_argument(
        "--ttft-p99", type=values.duration, metavar="TIME", help="find the smallest size, such as 2s allow"
    )
    command.add_argument(
        "--tpot-p99", type=values.duration, metavar="TIME", help="the same for each further token, such as 2ms"
    )
    command.add_argument(
        "--system-usd", type=values.price, metavar="USD", help="what an hour of one CS-3 was offered for"
    )
    command.add_argument("--html", type=Path, metavar="OUT", help="where the report goes; default: plan-NAME.html")
    command.add_argument("--write", type=Path, metavar="OUT", help="write the file back with the recommended size")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    aims = (options.ttft_p99, options.tpot_p99)
    if any(aims) and not (all(aims) and options.trace):
        print("--ttft-p99, --tpot-p99 and --trace are needed together", file=sys.stderr)
        return 2
    if (deployment := usable(options.file)) is None:
        return 1
    if all(aims):
        return _size(options, deployment)
    from tandem.plan.command import plan

    as_json = options.output == "json"
    return plan(options.file, deployment, root=ROOT, app=options.app, trace=options.trace, as_json=as_json)


def _size(options: argparse.Namespace, deployment: Deployment) -> int:
    from tandem.plan.size_command import Wish, size
    from tandem.plan.targets import Targets

    wish = Wish(
        targets=Targets(ttft_p99=options.ttft_p99, tpot_p99=options.tpot_p99),
        trace=options.trace,
        spread=options.spread,
        system_usd=options.system_usd,
        html=options.html or Path(f"plan-{deployment.name}.html"),
        write=options.write,
        as_json=options.output == "json",
    )
    return size(options.file, deployment, wish)
