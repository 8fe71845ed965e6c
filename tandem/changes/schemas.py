"""Look up how CloudFormation updates a resource type: AWS's resource provider schemas, as cfn-lint ships them.

cfn-lint comes with moto; only its data files are read, its code is not loaded. One region's index takes 10 ms, a type
1 ms. The schemas say which properties cannot be updated (``createOnlyProperties``), which only sometimes can
(``conditionalCreateOnlyProperties``), and which lists have no order.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Pointer = tuple[str, ...]
"""The path of a property; ``*`` stands for every element of a list."""

_WORLD = "us-east-1"
"""The region that offers every type; its index serves regions that cfn-lint does not know."""


class SchemaError(Exception):
    """Say that the schemas are not installed."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Hold what decides the update of one resource type."""

    create_only: tuple[Pointer, ...]
    conditional: tuple[Pointer, ...]
    body: Mapping[str, Any]

    def normalize(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``properties`` with every list that has no order sorted."""
        known = self.body.get("properties", {})
        return {name: _normalize(value, known.get(name, {}), self.body) for name, value in properties.items()}


@functools.cache
def schema(kind: str, region: str) -> Schema | None:
    """Return the schema of the resource type ``kind``, or ``None`` where there is none (``Custom::...``)."""
    name = _index(region).get(kind)
    if name is None:
        return None
    body = json.loads((_data() / "schemas" / "resources" / f"{name}.json").read_text(encoding="utf-8"))
    return Schema(_pointers(body, "createOnlyProperties"), _pointers(body, "conditionalCreateOnlyProperties"), body)


@functools.cache
def stateful_types() -> frozenset[str]:
    """Return the types that hold data: AWS's list, as cfn-lint's rule I3011 uses it."""
    path = _data() / "AdditionalSpecs" / "StatefulResources.json"
    return frozenset(json.loads(path.read_text(encoding="utf-8"))["ResourceTypes"])


@functools.cache
def _data() -> Path:
    found = importlib.util.find_spec("cfnlint")
    if found is None or not found.submodule_search_locations:
        raise SchemaError("got no cfn-lint, whose resource schemas say what an update replaces: install moto[server]")
    return Path(found.submodule_search_locations[0]) / "data"


@functools.cache
def _index(region: str) -> dict[str, str]:
    folder = _data() / "schemas" / "providers"
    path = folder / f"{region}.json"
    index: dict[str, str] = json.loads((path if path.exists() else folder / f"{_WORLD}.json").read_text("utf-8"))
    return index


def _pointers(body: Mapping[str, Any], key: str) -> tuple[Pointer, ...]:
    return tuple(tuple(path.removeprefix("/properties/").split("/")) for path in body.get(key) or [])


def _normalize(value: Any, node: Mapping[str, Any], body: Mapping[str, Any]) -> Any:
    node = _resolve(node, body)
    if isinstance(value, dict):
        known = node.get("properties", {})
        return {name: _normalize(each, known.get(name, {}), body) for name, each in value.items()}
    if isinstance(value, list):
        items = [_normalize(each, node.get("items", {}), body) for each in value]
        return sorted(items, key=_text) if node.get("insertionOrder") is False else items
    return value


def _resolve(node: Mapping[str, Any], body: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        target: Any = body
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
