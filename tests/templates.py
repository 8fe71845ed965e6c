"""Synthesize the stacks of a small deployment for tests, once for each deployment."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aws_cdk import App
from aws_cdk.assertions import Template

from app import build
from tandem.spec.deployment import Deployment
from tests.documents import deployment

_ROOT = Path(__file__).parents[1]


def context() -> dict[str, Any]:
    """Return the feature flags of ``cdk.json``, which shape every template."""
    flags: dict[str, Any] = json.loads((_ROOT / "cdk.json").read_text())["context"]
    return flags


def stack(kind: str, provider: str = "cs3", **changes: object) -> Template:
    """Return one stack of the smallest deployment for ``provider`` with ``changes``."""
    return Template.from_json(templates(provider, **changes)[kind])


def templates(provider: str = "cs3", **changes: object) -> dict[str, dict[str, Any]]:
    """Return every stack's template by its kind."""
    return _synthesized(deployment(provider, **changes).model_dump_json())


@functools.cache
def _synthesized(model: str) -> dict[str, dict[str, Any]]:
    described = Deployment.model_validate_json(model)
    with tempfile.TemporaryDirectory() as outdir:
        # app.py's own validations are tested with the whole app
        flags = context() | {"@aws-cdk/core:validateAgainstDefaultRules": False}
        app = App(outdir=outdir, context=flags)
        build(app, described)
        assembly = app.synth()
        prefix = f"{described.name}-"
        return {each.stack_name.removeprefix(prefix): each.template for each in assembly.stacks}


def resources(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of every resource of one type by logical id."""
    found = template["Resources"].items()
    return {key: body.get("Properties", {}) for key, body in found if body["Type"] == kind}


def only(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the properties of the one resource of a type."""
    [properties] = resources(template, kind).values()
    return properties


def statements(template: dict[str, Any], role: str) -> Iterator[dict[str, Any]]:
    """Yield the policy statements of every role whose logical id contains ``role``."""
    for policy in resources(template, "AWS::IAM::Policy").values():
        if any(role in reference["Ref"] for reference in policy["Roles"]):
            yield from policy["PolicyDocument"]["Statement"]


def named(pairs: list[dict[str, Any]], value: str = "Value") -> dict[str, Any]:
    """Return a list of ``Name`` and ``Value`` as a mapping."""
    return {pair["Name"]: pair[value] for pair in pairs}


def script(data: dict[str, Any]) -> str:
    """Return the user data of a launch template's data, without what only a deployment knows."""
    parts = data["UserData"]["Fn::Base64"]["Fn::Join"][1]
    return "".join(part for part in parts if isinstance(part, str))
