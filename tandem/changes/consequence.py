"""Classify what CloudFormation does to one resource whose template changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tandem.changes.references import is_intrinsic
from tandem.changes.rolling import REVISIONS, rolling
from tandem.changes.schemas import Pointer, Schema, schema, stateful_types

Resource = Mapping[str, Any]
"""A resource's part of a template."""

_KEPT = {"Retain", "RetainExceptOnCreate", "Snapshot"}
_POLICIES = ("DeletionPolicy", "UpdateReplacePolicy")
_REPLACES_ALL_HOSTS = "AutoScalingReplacingUpdate"


class Consequence(StrEnum):
    """Rank what happens to a resource, worst first."""

    DATA_AT_RISK = "data at risk"
    LEFT_BEHIND = "left behind"
    REMOVAL = "removal"
    REPLACEMENT = "replacement"
    ROLLING = "rolling"
    IN_PLACE = "in place"
    CREATION = "creation"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say what happens and why; ``replaced`` where whoever refers to the resource will find another one."""

    consequence: Consequence
    reason: str = ""
    replaced: bool = False


def judge(old: Resource | None, new: Resource | None, region: str) -> Verdict:
    """Return what an update from ``old`` to ``new`` does; ``None`` stands for a resource that does not exist."""
    if old is None:
        return Verdict(Consequence.CREATION if new else Consequence.NOTHING)
    if new is None:
        return _lost(old, "DeletionPolicy", [old], Consequence.REMOVAL, "removed")
    if old["Type"] != new["Type"]:
        return _replaced(old, new, f"was {old['Type']}")
    known = schema(old["Type"], region)
    changed = _changed(old, new, known)
    if not changed:
        return _policies(old, new)
    if known is None:
        return _replaced(old, new, f"{', '.join(changed)}: unknown how this type updates, treated as a replacement")
    return _update(old, new, known, changed)


def _update(old: Resource, new: Resource, known: Schema, changed: list[str]) -> Verdict:
    fixed = _differing(old, new, known.create_only)
    if fixed:
        return _replaced(old, new, f"{', '.join(fixed)} cannot be updated")
    perhaps = _differing(old, new, known.conditional)
    if perhaps and new.get("UpdatePolicy", {}).get(_REPLACES_ALL_HOSTS, {}).get("WillReplace"):
        return _replaced(old, new, f"{', '.join(perhaps)}, by {_REPLACES_ALL_HOSTS}")
    way = rolling(new, changed)
    if way:
        return Verdict(Consequence.ROLLING, f"{', '.join(changed)}: {way}")
    if perhaps:
        return _replaced(old, new, f"{', '.join(perhaps)} cannot always be updated, treated as a replacement")
    return Verdict(Consequence.IN_PLACE, ", ".join(changed))


def _replaced(old: Resource, new: Resource, why: str) -> Verdict:
    if old["Type"] == new["Type"] and (way := REVISIONS.get(new["Type"])):
        return Verdict(Consequence.ROLLING, way, replaced=True)
    # the templates may disagree on the policy; which of them CloudFormation heeds is not documented
    return _lost(old, "UpdateReplacePolicy", [old, new], Consequence.REPLACEMENT, why)


def _lost(old: Resource, policy: str, templates: list[Resource], otherwise: Consequence, why: str) -> Verdict:
    """Judge by ``policy`` what becomes of a resource that the deployment goes on without."""
    if all(each.get(policy) in _KEPT for each in templates):
        return Verdict(Consequence.LEFT_BEHIND, f"{why}; {policy} keeps the old one", replaced=True)
    if old["Type"] in stateful_types():
        stated = " and ".join(dict.fromkeys(str(each.get(policy, "not set")) for each in templates))
        return Verdict(Consequence.DATA_AT_RISK, f"{why}; {policy} is {stated}", replaced=True)
    return Verdict(otherwise, why, replaced=True)


def _policies(old: Resource, new: Resource) -> Verdict:
    changed = [
        f"{policy} {old.get(policy, 'not set')} -> {new.get(policy, 'not set')}"
        for policy in _POLICIES
        if old.get(policy) != new.get(policy)
    ]
    return Verdict(Consequence.IN_PLACE, ", ".join(changed)) if changed else Verdict(Consequence.NOTHING)


def _changed(old: Resource, new: Resource, known: Schema | None) -> list[str]:
    before, after = old.get("Properties", {}), new.get("Properties", {})
    if known:
        before, after = known.normalize(before), known.normalize(after)
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _differing(old: Resource, new: Resource, pointers: tuple[Pointer, ...]) -> list[str]:
    before, after = old.get("Properties", {}), new.get("Properties", {})
    return [".".join(path) for path in pointers if list(_at(before, path)) != list(_at(after, path))]


def _at(value: Any, path: Pointer) -> Iterator[Any]:
    """Yield what stands at ``path``: several values under a list, the whole where it is computed at deployment."""
    if not path or is_intrinsic(value):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _at(each, path[1:] if path[0] == "*" else path)
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])
