"""Be the ``tandem doctor`` command: examine, and print a table or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path

from tandem.doctor.aws import connect
from tandem.doctor.checks import BEFORE, LIVE
from tandem.doctor.examine import examine
from tandem.doctor.result import Result, Verdict
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, has_errors
from tandem.spec.read import read

_INTERRUPTED = 130


def doctor(file: Path, *, live: bool, profile: str | None, as_json: bool) -> int:
    """Print what every check found; return 1 where one fails or the file has errors, 130 where interrupted, else 0.

    With ``live``, what runs is examined too. A file with errors is not examined: its findings are printed.
    """
    deployment, findings = read(file)
    usable = None if has_errors(findings) else deployment
    try:
        results = _results(usable, live=live, profile=profile) if usable else {}
    except KeyboardInterrupt:
        return _INTERRUPTED
    if as_json:
        print(_as_json(findings, results))
    else:
        print("\n".join([*map(str, findings), *_table(results), *([_summary(file, results)] if usable else [])]))
    bad = usable is None or any(result.verdict is Verdict.FAIL for result in results.values())
    return 1 if bad else 0


def _results(deployment: Deployment, *, live: bool, profile: str | None) -> dict[str, Result]:
    checks = {**BEFORE, **LIVE} if live else BEFORE
    return examine(deployment, partial(connect, deployment.region, profile), checks)


def _as_json(findings: Sequence[Finding], results: Mapping[str, Result]) -> str:
    checks = [{"check": name, **asdict(result)} for name, result in results.items()]
    return json.dumps({"findings": [finding.as_dict() for finding in findings], "checks": checks}, indent=2)


def _table(results: Mapping[str, Result]) -> list[str]:
    """Return a line a check; neighbours with one and the same result share the line of its change."""
    width = max(map(len, results), default=0)
    lines = []
    for result, names in groupby(results, key=results.__getitem__):
        lines += [f"{result.verdict:<8} {name:<{width}}  {result.found}" for name in names]
        lines += [f"{'':<{width + 9}}  change: {result.change}"] if result.change else []
    return lines


def _summary(file: Path, results: Mapping[str, Result]) -> str:
    counts = Counter(result.verdict for result in results.values())
    return f"{file}: {counts[Verdict.PASS]} passed, {counts[Verdict.FAIL]} failed, {counts[Verdict.UNKNOWN]} unknown"
