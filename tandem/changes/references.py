"""Follow references: what a template says of a resource differs where the resource itself becomes another one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

_MOVED = " (another one)"
"""What is put to a reference whose target changes, so that old and new no longer compare equal."""

_VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")


def follow(value: Any, moved: Set[str]) -> Any:
    """Return ``value`` with every reference into ``moved`` marked.

    ``moved`` holds logical ids (a resource that is replaced, a parameter with another default), ``id.attribute`` for
    one attribute that changes with an update, and ``import:name`` for an export whose value changes.
    """
    if isinstance(value, list):
        return [follow(each, moved) for each in value]
    if not isinstance(value, dict):
        return value
    if any(_is_moved(target, moved) for target in _targets(value)):
        return {key: [each, _MOVED] for key, each in value.items()}
    return {key: follow(each, moved) for key, each in value.items()}


def imports(value: Any) -> Iterator[str]:
    """Yield the name of every export that ``value`` imports."""
    if isinstance(value, list):
        for each in value:
            yield from imports(each)
    elif isinstance(value, dict):
        if isinstance(value.get("Fn::ImportValue"), str):
            yield value["Fn::ImportValue"]
        for each in value.values():
            yield from imports(each)


def is_intrinsic(value: Any) -> bool:
    """Tell whether ``value`` is computed at deployment."""
    return isinstance(value, dict) and len(value) == 1 and all(k == "Ref" or k.startswith("Fn::") for k in value)


def _targets(value: dict[str, Any]) -> Iterator[str]:
    """Yield what this one intrinsic function refers to, if it is one; its arguments are followed on their own."""
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *attribute]}:
            yield ".".join([name, *map(str, attribute)])
        case {"Fn::GetAtt": str(name)}:
            yield name
        case {"Fn::ImportValue": str(name)}:
            yield f"import:{name}"
        case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), *_]}:
            yield from _VARIABLE.findall(text)


def _is_moved(target: str, moved: Set[str]) -> bool:
    return target in moved or (not target.startswith("import:") and target.partition(".")[0] in moved)
