"""No policy of any example or registrar has a wildcard that nobody gave a reason for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.assemblies import templates

_ACCEPTED = yaml.safe_load(Path(__file__).with_name("wildcards.yaml").read_text())


@dataclass(frozen=True, slots=True)
class _Wildcard:
    """Say where a wildcard stands: the resource by type and logical id, the part of the statement, the text."""

    resource: str
    part: str
    text: str

    def accepted_by(self, entry: dict[str, Any]) -> bool:
        return fnmatchcase(self.resource, entry["at"]) and self.text in entry.get(self.part, [])


def _text(value: Any) -> str:
    """Write a value with its references as ``<name>``; what another stack exports is ``<import>``."""
    if isinstance(value, str):
        return value
    [(function, argument)] = value.items()
    if function == "Fn::Join":
        return str(argument[0]).join(map(_text, argument[1]))
    if function == "Fn::ImportValue":
        return "<import>"
    return f"<{argument}>" if function == "Ref" else f"<{'.'.join(map(str, argument))}>"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _statements(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every allowing statement below ``value``, whatever kind of policy holds it."""
    if isinstance(value, dict):
        if isinstance(value.get("Statement"), list):
            yield from (each for each in value["Statement"] if each["Effect"] == "Allow")
        for below in value.values():
            yield from _statements(below)
    elif isinstance(value, list):
        for below in value:
            yield from _statements(below)


def _principals(statement: dict[str, Any]) -> list[Any]:
    principal = statement.get("Principal", [])
    return [each for value in principal.values() for each in _list(value)] if isinstance(principal, dict) else ["*"]


def wildcards(name: str, body: dict[str, Any]) -> Iterator[_Wildcard]:
    """Yield the wildcards of one resource of a template."""
    for statement in _statements(body.get("Properties", {})):
        parts = {"action": _list(statement["Action"]), "resource": _list(statement.get("Resource", []))}
        # in a key's own policy the resource * is that key
        if body["Type"] == "AWS::KMS::Key":
            parts["resource"] = []
        if "Principal" in statement:
            parts["principal"] = _principals(statement)
        for part, values in parts.items():
            yield from (_Wildcard(f"{body['Type']}.{name}", part, t) for t in map(_text, values) if "*" in t)


@pytest.fixture(scope="module")
def found(assemblies: dict[str, Path]) -> set[_Wildcard]:
    return {
        each
        for _, template in templates(assemblies)
        for name, body in template["Resources"].items()
        for each in wildcards(name, body)
    }


def test_no_wildcard_is_left_without_a_reason(found: set[_Wildcard]) -> None:
    left = {each for each in found if not any(each.accepted_by(entry) for entry in _ACCEPTED)}
    assert left == set()


@pytest.mark.parametrize("entry", _ACCEPTED, ids=lambda entry: str(entry["at"]))
def test_every_reason_is_needed(found: set[_Wildcard], entry: dict[str, Any]) -> None:
    assert entry["reason"]
    here = {(each.part, each.text) for each in found if fnmatchcase(each.resource, entry["at"])}
    listed = {(part, text) for part in ("action", "resource", "principal") for text in entry.get(part, [])}
    assert listed - here == set()


def test_a_wildcard_is_found_in_any_policy() -> None:
    statement = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:Put*"], "Resource": {"Fn::Join": ["", ["a", "/*"]]}}
    body = {
        "Type": "Some::Type",
        "Properties": {"Deep": [{"Policy": {"Statement": [{**statement, "Principal": "*"}]}}]},
    }
    assert {(each.part, each.text) for each in wildcards("Name", body)} == {
        ("action", "s3:Put*"),
        ("resource", "a/*"),
        ("principal", "*"),
    }
