"""Compare two sets of templates, and follow what one replacement does to everything that refers to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tandem.assembly import Template
from tandem.changes.consequence import Consequence, Resource, Verdict, judge
from tandem.changes.references import follow, imports
from tandem.changes.rolling import VERSIONS

Templates = Mapping[str, Template]
"""Templates by stack name."""

_IGNORED = "AWS::CDK::Metadata"
_PATH = "aws:cdk:path"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Say what happens to one resource; ``path`` is its place in the construct tree, or its logical id."""

    stack: str
    logical_id: str
    path: str
    kind: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold every resource of both sides, worst consequence first.

    ``refusals`` are what CloudFormation will not do; ``orphans`` are stacks that are no longer in the app, which stay
    as they are until somebody deletes them: their changes are those of that deletion.
    """

    changes: tuple[Change, ...]
    refusals: tuple[str, ...]
    orphans: tuple[str, ...]

    def count(self, consequence: Consequence) -> int:
        """Return the number of resources with this consequence."""
        return sum(change.verdict.consequence is consequence for change in self.changes)


def compare(old: Templates, new: Templates, region: str) -> Comparison:
    """Return what deploying ``new`` over ``old`` does."""
    moved = {stack: _parameters(old.get(stack, {}), template) for stack, template in new.items()}
    while True:
        changes = [_change(stack, key, old, new, moved, region) for stack, key in _resources(old, new)]
        exports = _moved_exports(old, new, moved)
        # a replacement is seen by others only once it is known, so go round until nothing more moves
        further = {stack: moved[stack] | exports | _moved_by(changes, stack) for stack in new}
        if further == moved:
            break
        moved = further
    ranks = list(Consequence)
    changes.sort(key=lambda each: (ranks.index(each.verdict.consequence), each.stack, each.path))
    return Comparison(tuple(changes), tuple(_refusals(old, new, exports)), tuple(sorted(old.keys() - new.keys())))


def _resources(old: Templates, new: Templates) -> Iterator[tuple[str, str]]:
    """Yield the stack and logical id of every resource of either side."""
    for stack in {**old, **new}:
        bodies = {**old.get(stack, {}).get("Resources", {}), **new.get(stack, {}).get("Resources", {})}
        yield from ((stack, key) for key, body in bodies.items() if body["Type"] != _IGNORED)


def _change(stack: str, key: str, old: Templates, new: Templates, moved: Mapping[str, set[str]], region: str) -> Change:
    before, after = _resource(old, stack, key), _resource(new, stack, key)
    if after:
        after = {**after, "Properties": follow(after.get("Properties", {}), moved[stack])}
    shown = after or before or {}
    path = shown.get("Metadata", {}).get(_PATH, key).removeprefix(f"{stack}/").removesuffix("/Resource")
    return Change(stack=stack, logical_id=key, path=path, kind=shown["Type"], verdict=judge(before, after, region))


def _resource(templates: Templates, stack: str, key: str) -> Resource | None:
    found: Resource | None = templates.get(stack, {}).get("Resources", {}).get(key)
    return found


def _moved_by(changes: list[Change], stack: str) -> set[str]:
    moved = set()
    for change in changes:
        if change.stack != stack:
            continue
        if change.verdict.replaced:
            moved.add(change.logical_id)
        elif change.verdict.consequence is Consequence.ROLLING:
            moved.update(f"{change.logical_id}.{name}" for name in VERSIONS.get(change.kind, ()))
    return moved


def _parameters(old: Template, new: Template) -> set[str]:
    before, after = old.get("Parameters", {}), new.get("Parameters", {})
    return {name for name in after if name in before and before[name] != after[name]}


def _exports(template: Template) -> dict[str, object]:
    outputs = template.get("Outputs", {}).values()
    return {each["Export"]["Name"]: each["Value"] for each in outputs if isinstance(each.get("Export"), dict)}


def _moved_exports(old: Templates, new: Templates, moved: Mapping[str, set[str]]) -> set[str]:
    """Return the deployed exports that get another value or go, of stacks that are updated."""
    found: set[str] = set()
    for stack in old.keys() & new.keys():
        after = follow(_exports(new[stack]), moved[stack])
        found |= {f"import:{name}" for name, value in _exports(old[stack]).items() if after.get(name) != value}
    return found


def _refusals(old: Templates, new: Templates, moved: set[str]) -> Iterator[str]:
    """Yield the exports that CloudFormation refuses to change, since deployed stacks import them."""
    users: dict[str, set[str]] = defaultdict(set)
    for stack, template in old.items():
        for name in imports(template):
            users[name].add(stack)
    for stack in sorted(old.keys() & new.keys()):
        for name in sorted(_exports(old[stack])):
            if f"import:{name}" in moved and users[name]:
                yield f"{stack}: the export {name} changes or goes, imported by {', '.join(sorted(users[name]))}"
