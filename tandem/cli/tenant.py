"""``tandem tenant``: say who may call a deployment's gateway."""

from __future__ import annotations

import argparse
from pathlib import Path

from tandem.cli import values
from tandem.cli.shared import Commands, add_output, usable


def add(commands: Commands) -> None:
    """Add the command and its actions."""
    tenant = commands.add_parser("tenant", help="say who may call a deployment's gateway")
    actions = tenant.add_subparsers(required=True, metavar="ACTION", dest="action")
    add = actions.add_parser("add", help="add a tenant and print its key, which is shown only now")
    rotate = actions.add_parser("rotate", help="print another key; the one before stays valid until the next rotation")
    sign = actions.add_parser(
        "sign", help="print another AWS key pair, for clients that sign instead of presenting a key"
    )
    limit = actions.add_parser("limit", help="change limits of a tenant, those that are named")
    revoke = actions.add_parser("revoke", help="refuse every key and signature of a tenant")
    remove = actions.add_parser("remove", help="forget a tenant that is revoked")
    show = actions.add_parser("list", help="list tenants, never keys")
    for action in (add, rotate, sign, limit, revoke, remove, show):
        action.add_argument("file", type=Path)
        action.add_argument("--profile", help="the AWS profile to act with; default: as every AWS tool finds it")
        action.set_defaults(run=_run)
    for action in (add, rotate, sign, limit, revoke, remove):
        action.add_argument("id", metavar="TENANT")
    for name in ("requests-per-minute", "tokens-per-minute", "concurrency", "weight"):
        add.add_argument(f"--{name}", type=values.positive, metavar="N")
        limit.add_argument(f"--{name}", type=values.limit, metavar="N", help="none: as the deployment has it")
    for action in (rotate, sign):
        action.add_argument("--at-once", action="store_true", help="refuse the one before at once: it has leaked")
    add_output(show)


def _run(options: argparse.Namespace) -> int:
    if (deployment := usable(options.file)) is None:
        return 1
    # loads boto3, which the other commands need not wait for
    from tandem.tenants.command import tenant

    return tenant(deployment, options)
