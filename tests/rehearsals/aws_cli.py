"""Stand in for the AWS CLI, whose pinned botocore is not ours: parameters, ``--query`` and ``--output text``.

Every command is checked against botocore's own model. One of ``SHAPES`` ends there: moto does not serve it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import jmespath  # type: ignore[import-untyped]  # ships no types
from botocore import xform_name
from botocore.model import ListShape, Shape, StructureShape
from botocore.validate import validate_parameters

SHAPES = {
    ("ec2", "describe-capacity-block-offerings"): "moto sells no Capacity Blocks",
    ("ec2", "purchase-capacity-block"): "moto sells no Capacity Blocks",
    ("ecs", "update-container-instances-state"): "no ECS agent registers a host here",
    ("autoscaling", "terminate-instance-in-auto-scaling-group"): "the host's id is the operator's to name",
    ("cloudformation", "continue-update-rollback"): "no stack is in that state",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; return 0, or 1 where ``--query`` finds nothing."""
    name, operation, *rest = arguments
    service = {"s3api": "s3"}.get(name, name)
    client = boto3.client(service)
    method = operation.replace("-", "_")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    options = dict(_options(rest))
    query, output = options.pop("query", None), options.pop("output", None)
    given = dict(_parameter(model.input_shape, name, value) for name, value in options.items())
    validate_parameters(given, model.input_shape)
    if (service, operation) in SHAPES:
        return 0
    answer = getattr(client, method)(**given)
    found = jmespath.search(query[0], answer) if isinstance(query, list) else answer
    print(found if output == ["text"] else json.dumps(found, default=str))
    return 1 if found is None else 0


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str] | bool]]:
    name, values = "", list[str]()
    for word in [*words, "--"]:
        if not word.startswith("--"):
            values.append(word)
            continue
        if name:
            yield _flag(name) if not values else (name, values)
        name, values = word.removeprefix("--"), []


def _flag(name: str) -> tuple[str, bool]:
    return name.removeprefix("no-"), not name.startswith("no-")


def _parameter(shape: StructureShape, name: str, value: list[str] | bool) -> tuple[str, Any]:
    members = {xform_name(member, "-"): member for member in shape.members}
    if name not in members:
        raise SystemExit(f"--{name} is no option; there are {', '.join(sorted(members))}")
    return members[name], _typed(shape.members[members[name]], value)


def _typed(shape: Shape, value: list[str] | bool) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(shape, ListShape):
        return [_typed(shape.member, [each]) for each in value]
    if isinstance(shape, StructureShape):  # shorthand: Key=…,Values=…
        pairs = [part.split("=", 1) for part in value[0].split(",")]
        return {key: _typed(shape.members[key], [text]) for key, text in pairs}
    return int(value[0]) if shape.type_name in ("integer", "long") else " ".join(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
