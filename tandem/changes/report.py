"""Tell a comparison, as text or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tandem.changes.compare import Change, Comparison
from tandem.changes.consequence import Consequence

_MEANS = {
    Consequence.DATA_AT_RISK: "deleted, with what it holds",
    Consequence.LEFT_BEHIND: "kept in the account, but the deployment goes on without it",
    Consequence.REMOVAL: "deleted",
    Consequence.REPLACEMENT: "a new one is made, then the old one deleted",
    Consequence.ROLLING: "what runs is replaced step by step, or when it next starts",
    Consequence.IN_PLACE: "updated as it stands",
    Consequence.CREATION: "made anew",
}


def text(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of a table, grouped by consequence, worst first; what stays as it is only counts."""
    shown = [each for each in comparison.changes if each.verdict.consequence is not Consequence.NOTHING]
    for consequence, group in groupby(shown, key=lambda each: each.verdict.consequence):
        yield f"{consequence.upper()} ({_MEANS[consequence]})"
        yield from _table(list(group))
    if comparison.refusals:
        yield "REFUSED (CloudFormation stops at these until the import is gone: by a deployment before this one)"
        yield from (f"  {each}" for each in comparison.refusals)
    for stack in comparison.orphans:
        yield f"{stack} is no longer in the app; it stays until it is deleted, which is what its lines above show"
    yield _summary(comparison)


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison for ``--output json``; ``changes`` leaves out what stays as it is."""
    return {
        "counts": {consequence.value: comparison.count(consequence) for consequence in Consequence},
        "refusals": list(comparison.refusals),
        "orphans": list(comparison.orphans),
        "changes": [_row(each) for each in comparison.changes if each.verdict.consequence is not Consequence.NOTHING],
    }


def _row(change: Change) -> dict[str, str]:
    return {
        "consequence": change.verdict.consequence.value,
        "stack": change.stack,
        "logical_id": change.logical_id,
        "path": change.path,
        "type": change.kind,
        "reason": change.verdict.reason,
    }


def _table(group: list[Change]) -> Iterator[str]:
    stack, path, kind = (max(len(getattr(each, name)) for each in group) for name in ("stack", "path", "kind"))
    for each in group:
        yield f"  {each.stack:{stack}}  {each.path:{path}}  {each.kind:{kind}}  {each.verdict.reason}".rstrip()


def _summary(comparison: Comparison) -> str:
    counts = [f"{comparison.count(each)} {each}" for each in Consequence if comparison.count(each)]
    refused = f"; {len(comparison.refusals)} exports refused" if comparison.refusals else ""
    return (", ".join(counts) or "no resources") + refused
