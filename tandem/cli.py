"""Parse the command line of ``tandem``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, has_errors
from tandem.spec.read import read

_ROOT = Path(__file__).parents[1]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TRACE = "a file of Azure's or Mooncake's form, or synthetic:rate=REQUESTS_A_SECOND,... (docs/planning.md)"
_SPREAD = "set requests apart that the trace's clock has at one moment"
_UNREAD = 128 + signal.SIGPIPE


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
    validate = commands.add_parser("validate", help="print everything that is wrong with a deployment file")
    validate.add_argument("file", type=Path)
    validate.add_argument("--output", choices=["text", "json"], default="text")
    validate.set_defaults(run=_validate)
    schema = commands.add_parser("schema", help="print the JSON Schema of the deployment file, for editors")
    schema.set_defaults(run=_schema)
    plan = _with_templates(commands.add_parser("plan", help="say what a deployment file costs, and what it can carry"))
    _add_targets(plan)
    plan.set_defaults(run=_plan)
    simulate = commands.add_parser("simulate", help="replay a request trace through a deployment file")
    simulate.add_argument("file", type=Path)
    simulate.add_argument("--trace", required=True, metavar="TRACE", help=_TRACE)
    simulate.add_argument("--spread", action="store_true", help=_SPREAD)
    simulate.add_argument(
        "--failures", type=_hours, metavar="HOURS", help="let each prefill host fail once in so many hours on average"
    )
    simulate.add_argument(
        "--decode-failures", type=_hours, metavar="HOURS", help="the same for each decode endpoint or decode host"
    )
    simulate.add_argument("--tenants", type=_senders, default=1, metavar="N", help="tenants that share the requests")
    simulate.add_argument("--html", type=Path, metavar="OUT", help="draw the report into this file")
    simulate.add_argument("--output", choices=["text", "json"], default="text")
    simulate.set_defaults(run=_simulate)
    diff = _with_templates(commands.add_parser("diff", help="explain what deploying a file does to what is deployed"))
    diff.add_argument("--against", type=Path, metavar="DIR", help="compare with these templates, not the deployed ones")
    diff.add_argument("--allow-data-loss", action="store_true", help="return 0 though data is at risk")
    diff.set_defaults(run=_diff)
    rehearse = commands.add_parser("rehearse", help="deploy a file into an embedded AWS and ask it something")
    rehearse.add_argument("file", type=Path)
    rehearse.add_argument("--since", type=float, metavar="UNIX_TIME", help="count the time from here on, as make does")
    rehearse.add_argument("--keep", action="store_true", help="stay up after the prompts until Ctrl-C")
    rehearse.add_argument("--changes", action="store_true", help="also update it, fail an update, and tear it down")
    rehearse.add_argument("--kills", action="store_true", help="also kill one of each process while 200 clients read")
    rehearse.add_argument(
        "--transport", choices=("UCX", "TCP"), default="UCX", help="what stand-ins move KV by (default: UCX, of NIXL)"
    )
    rehearse.add_argument("--prompt", action="append", metavar="TEXT", help="ask this instead of the default prompts")
    rehearse.set_defaults(run=_rehearse)
    doctor = commands.add_parser("doctor", help="ask AWS whether a file can be deployed, and what runs is sound")
    doctor.add_argument("file", type=Path)
    doctor.add_argument("--live", action="store_true", help="examine what runs, too")
    doctor.add_argument("--profile", help="the AWS profile to ask with; default: as every AWS tool finds it")
    doctor.add_argument("--output", choices=["text", "json"], default="text")
    doctor.set_defaults(run=_doctor)
    conformance = commands.add_parser("conformance", help="hold a decode endpoint against the contract")
    conformance.add_argument("url", help="its base URL; keys come from TANDEM_DECODE_KEY and TANDEM_TICKET_KEY")
    conformance.add_argument("--model", required=True, help="the model's name there")
    conformance.add_argument("--host", default="127.0.0.1", help="this machine's address, as the endpoint reaches it")
    conformance.add_argument(
        "--prefill", metavar="URL", help="use this prefill worker (TANDEM_PREFILL_KEY), start none"
    )
    conformance.add_argument("--clause", action="append", default=[], help="examine this one only; may be repeated")
    conformance.add_argument("--output", choices=["text", "json"], default="text")
    conformance.set_defaults(run=_conformance)
    _add_tenant(commands.add_parser("tenant", help="say who may call a deployment's gateway"))
    return parser


def _add_targets(plan: argparse.ArgumentParser) -> None:
    plan.add_argument("--trace", metavar="TRACE", help=_TRACE)
    plan.add_argument("--spread", action="store_true", help=_SPREAD)
    plan.add_argument("--ttft-p99", type=_duration, metavar="TIME", help="find the smallest size, such as 2s allow")
    plan.add_argument("--tpot-p99", type=_duration, metavar="TIME", help="the same for each further token, such as 2ms")
    plan.add_argument("--system-usd", type=_price, metavar="USD", help="what an hour of one CS-3 was offered for")
    plan.add_argument("--html", type=Path, metavar="OUT", help="where the report goes; default: plan-NAME.html")
    plan.add_argument("--write", type=Path, metavar="OUT", help="write the file back with the recommended size")


def _add_tenant(tenant: argparse.ArgumentParser) -> None:
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
        action.set_defaults(run=_tenant)
    for action in (add, rotate, sign, limit, revoke, remove):
        action.add_argument("id", metavar="TENANT")
    for name in ("requests-per-minute", "tokens-per-minute", "concurrency", "weight"):
        add.add_argument(f"--{name}", type=_positive, metavar="N")
        limit.add_argument(f"--{name}", type=_limit, metavar="N", help="none: as the deployment has it")
    for action in (rotate, sign):
        action.add_argument("--at-once", action="store_true", help="refuse the one before at once: it has leaked")
    show.add_argument("--output", choices=["text", "json"], default="text")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, a positive whole number is needed")
    return int(text)


def _limit(text: str) -> int:
    """Return a limit, 0 for none of one's own."""
    return 0 if text == "none" else _positive(text)


def _duration(text: str) -> float:
    from tandem.plan.targets import duration

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _price(text: str) -> float:
    return _between(text, 0.0, "USD from 0 to a million are needed")


def _senders(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tenants: 1 to 10000 are allowed")
    return int(text)


def _hours(text: str) -> float:
    return _between(text, 1e-3, "hours from 0.001 to a million are needed")


def _between(text: str, least: float, needed: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= 1e6:
        raise argparse.ArgumentTypeError(f"got {text!r}, {needed}")
    return number


def _with_templates(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("file", type=Path)
    command.add_argument("--app", type=Path, metavar="DIR", help="take this cloud assembly instead of a fresh synth")
    command.add_argument("--output", choices=["text", "json"], default="text")
    return command


def _validate(options: argparse.Namespace) -> int:
    _, findings = read(options.file)
    if options.output == "json":
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        _print(findings, sys.stdout)
        print(f"{options.file}: {_count(findings)}")
    return 1 if has_errors(findings) else 0


def _schema(options: argparse.Namespace) -> int:
    print(json.dumps({"$schema": _DIALECT, **Deployment.model_json_schema()}, indent=2))
    return 0


def _plan(options: argparse.Namespace) -> int:
    aims = (options.ttft_p99, options.tpot_p99)
    if any(aims) and not (all(aims) and options.trace):
        print("--ttft-p99, --tpot-p99 and --trace are needed together", file=sys.stderr)
        return 2
    if (deployment := _usable(options.file, sys.stderr)) is None:
        return 1
    if all(aims):
        return _size(options, deployment)
    from tandem.plan.command import plan

    as_json = options.output == "json"
    return plan(options.file, deployment, root=_ROOT, app=options.app, trace=options.trace, as_json=as_json)


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


def _simulate(options: argparse.Namespace) -> int:
    if (deployment := _usable(options.file, sys.stderr)) is None:
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


def _diff(options: argparse.Namespace) -> int:
    if (deployment := _usable(options.file, sys.stderr)) is None:
        return 1
    from tandem.changes.command import diff

    return diff(
        options.file,
        deployment,
        root=_ROOT,
        app=options.app,
        against=options.against,
        as_json=options.output == "json",
        allow_data_loss=options.allow_data_loss,
    )


def _rehearse(options: argparse.Namespace) -> int:
    if (deployment := _usable(options.file, sys.stdout)) is None:
        return 1
    # loads moto, which takes a second that the other commands need not wait
    from tandem.rehearsal.command import rehearse

    setup = time.time() - options.since if options.since else 0.0
    return rehearse(
        options.file,
        deployment,
        root=_ROOT,
        keep=options.keep,
        changes=options.changes,
        kills=options.kills,
        transport=options.transport,
        texts=options.prompt,
        setup_seconds=setup,
    )


def _doctor(options: argparse.Namespace) -> int:
    # loads boto3, which the other commands need not wait for
    from tandem.doctor.command import doctor

    return doctor(options.file, live=options.live, profile=options.profile, as_json=options.output == "json")


def _conformance(options: argparse.Namespace) -> int:
    # loads NIXL, which the other commands need not wait for
    from tandem.conformance.clauses import CLAUSES
    from tandem.conformance.command import Subject, conformance

    if unknown := [name for name in options.clause if name not in CLAUSES]:
        print(f"unknown clause {unknown[0]!r}, the contract has {', '.join(CLAUSES)}", file=sys.stderr)
        return 2
    subject = Subject(url=options.url, model=options.model, host=options.host, prefill=options.prefill)
    return conformance(subject, only=options.clause, as_json=options.output == "json")


def _tenant(options: argparse.Namespace) -> int:
    if (deployment := _usable(options.file, sys.stderr)) is None:
        return 1
    # loads boto3, which the other commands need not wait for
    from tandem.tenants.command import tenant

    return tenant(deployment, options)


def _usable(file: Path, told: TextIO) -> Deployment | None:
    """Return the deployment that ``file`` describes, None where it has errors; print what was found to ``told``."""
    deployment, findings = read(file)
    _print(findings, told)
    return None if has_errors(findings) else deployment


def _count(findings: Sequence[Finding]) -> str:
    return f"{len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}"


def _print(findings: Sequence[Finding], told: TextIO) -> None:
    for finding in findings:
        print(finding, file=told)


if __name__ == "__main__":
    sys.exit(main())
