"""``tandem rehearse``: deploy a file into an embedded AWS and ask it something."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tandem.cli.shared import ROOT, Commands, usable


def add(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("rehearse", help="deploy a file into an embedded AWS and ask it something")
    command.add_argument("file", type=Path)
    command.add_argument("--since", type=float, metavar="UNIX_TIME", help="count the time from here on, as make does")
    command.add_argument("--keep", action="store_true", help="stay up after the prompts until Ctrl-C")
    command.add_argument("--changes", action="store_true", help="also update it, fail an update, and tear it down")
    command.add_argument("--kills", action="store_true", help="also kill one of each process while 200 clients read")
    command.add_argument(
        "--transport", choices=("UCX", "TCP"), default="UCX", help="what stand-ins move KV by (default: UCX, of NIXL)"
    )
    command.add_argument("--prompt", action="append", metavar="TEXT", help="ask this instead of the default prompts")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if (deployment := usable(options.file)) is None:
        return 1
    # loads moto, which takes a second that the other commands need not wait
    from tandem.rehearsal.command import rehearse

    setup = time.time() - options.since if options.since else 0.0
    return rehearse(
        options.file,
        deployment,
        root=ROOT,
        keep=options.keep,
        changes=options.changes,
        kills=options.kills,
        transport=options.transport,
        texts=options.prompt,
        setup_seconds=setup,
    )
