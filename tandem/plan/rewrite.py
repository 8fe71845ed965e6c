"""Write a recommended size back into a deployment file, its comments and order kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from tandem.plan.shape import searched
from tandem.spec.decode import Cs3, VllmDecode
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, has_errors
from tandem.spec.read import parse
from tandem.spec.workers import InstanceGroup

Place = tuple[str | int, ...]


def places(deployment: Deployment, size: tuple[int, int]) -> dict[Place, int]:
    """Return which values of the file make it the recommended size; bounds are widened where they are in the way."""
    decode, changed = deployment.decode, dict[Place, int]()
    if deployment.prefill:
        changed |= _group(("prefill", "groups"), deployment.prefill.groups, size[0])
    if isinstance(decode, Cs3):
        changed["decode", "systems"] = size[1]
    elif isinstance(decode, VllmDecode):
        changed |= _group(("decode", "groups"), decode.groups, size[1])
    return changed


def _group(above: Place, groups: list[InstanceGroup], count: int) -> dict[Place, int]:
    group = searched(groups)
    place = (*above, groups.index(group))
    changed: dict[Place, int] = {(*place, "count"): count}
    if group.min_count and group.min_count > count:
        changed[*place, "min_count"] = count
    if group.max_count and group.max_count < count:
        changed[*place, "max_count"] = count
    return changed


class RewriteError(ValueError):
    """Say why a file cannot be written."""


def rewritten(text: str, values: Mapping[Place, int], path: Path) -> tuple[str, list[Finding]]:
    """Return ``text`` with the scalars at these places changed, and what the result's findings are.

    Raise ``RewriteError`` where a place is absent or the result has errors.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    spots = sorted(((_spot(root, place), value) for place, value in values.items()), reverse=True)
    for (begin, end), value in spots:
        text = f"{text[:begin]}{value}{text[end:]}"
    _, findings = parse(text, path)
    if has_errors(findings):
        raise RewriteError(f"the file would not be valid: {'; '.join(map(str, findings))}")
    return text, findings


def _spot(node: yaml.Node | None, place: Place) -> tuple[int, int]:
    for step in place:
        node = _child(node, step)
    if not isinstance(node, yaml.ScalarNode):
        raise RewriteError(f"{'.'.join(map(str, place))} is no plain value of the file: write it there first")
    return node.start_mark.index, node.end_mark.index


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
