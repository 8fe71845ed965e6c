"""Check the shape of a Bedrock request piece by piece, and name the piece that is wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from runtime.handoff.contract import Code, HandoffError


def invalid(message: str) -> HandoffError:
    """Return the refusal of a request."""
    return HandoffError(Code.INVALID_REQUEST, message)


def keys(value: Mapping[str, Any], where: str, allowed: Collection[str]) -> None:
    """Refuse members that would be lost: nothing a client asks for is ignored."""
    for name in value:
        if name not in allowed:
            known = ", ".join(sorted(allowed))
            raise invalid(f"{where} has {name[:80]!r}, which is not supported here: allowed are {known}")


def member(value: Mapping[str, Any], where: str, name: str, kind: type) -> Any:
    """Return a member that must be there and of one type."""
    found = value.get(name)
    if not isinstance(found, kind) or isinstance(found, bool) is not (kind is bool):
        raise invalid(f"{where}.{name} is {found!r:.80}: {_NAMES[kind]} is needed")
    return found


def optional(value: Mapping[str, Any], where: str, name: str, kind: type) -> Any:
    """Return a member of one type, or None where it is absent."""
    return None if value.get(name) is None else member(value, where, name, kind)


def item(value: object, where: str) -> dict[str, Any]:
    """Return an element that must be an object."""
    if not isinstance(value, dict):
        raise invalid(f"{where} is {value!r:.80}: an object is needed")
    return value


def variant(value: object, where: str, allowed: Collection[str]) -> tuple[str, Any]:
    """Return the name and value of a union, which is an object with exactly one member."""
    union = item(value, where)
    if len(union) != 1:
        raise invalid(f"{where} has {len(union)} members: exactly one of {', '.join(sorted(allowed))} is needed")
    keys(union, where, allowed)
    [(name, found)] = union.items()
    return name, found


_NAMES = {str: "a string", dict: "an object", list: "a list", int: "a whole number", bool: "true or false"}
