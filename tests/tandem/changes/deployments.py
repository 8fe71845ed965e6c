"""Synthesize a small deployment for comparisons, each set of changes once a session."""

from __future__ import annotations

from typing import Any

from tandem.changes.compare import Comparison, compare
from tandem.changes.consequence import Consequence
from tests.templates import templates

REGION = "us-east-2"


def stacks(provider: str = "cs3", **changes: object) -> dict[str, dict[str, Any]]:
    """Return every stack's template by the stack's name."""
    name = changes.get("name", "small")
    return {f"{name}-{kind}": template for kind, template in templates(provider, **changes).items()}


def after(provider: str = "cs3", **changes: object) -> Comparison:
    """Return what it does to the smallest CS-3 deployment when one thing of its file changes."""
    return compare(stacks(), stacks(provider, **changes), REGION)


def kinds(comparison: Comparison, consequence: Consequence) -> set[tuple[str, str]]:
    """Return the stack's kind and the type of every resource with ``consequence``."""
    found = [each for each in comparison.changes if each.verdict.consequence is consequence]
    return {(each.stack.partition("-")[2], each.kind.removeprefix("AWS::")) for each in found}


def consequences(comparison: Comparison) -> set[Consequence]:
    """Return every consequence that some resource has."""
    return {each.verdict.consequence for each in comparison.changes}
