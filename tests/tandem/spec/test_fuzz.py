"""No deployment file, however odd, gets anything but findings: by the published schema, broken, or no YAML at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

from tandem.cli import main
from tandem.spec.deployment import Deployment
from tandem.spec.findings import has_errors
from tandem.spec.read import parse

_SCHEMA = json.loads((Path(__file__).parents[3] / "deployments" / "schema.json").read_text())
_FILES = cast(st.SearchStrategy[dict[str, Any]], from_schema(_SCHEMA))
_ODD = st.one_of(
    from_schema({}),  # any JSON value
    st.sampled_from(["", " ", "10.0.0.0/16", "0.0.0.0/33", "us-east-2a", "cs3", "1e3", "~", "\u2028", 10**30, -1, 1.5]),
)


def _places(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for key, child in children for place in [(*path, key), *_places(child, (*path, key))]]


@st.composite
def _broken(draw: st.DrawFn) -> dict[str, Any]:
    """Return a file that was valid by the schema until up to three values were replaced, removed or added."""
    whole = draw(_FILES)
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(_places(whole)))
        section: Any = whole
        for part in parents:
            section = section[part]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                section[last] = draw(_ODD)
            case "remove" if len(whole) > 1:
                del section[last]
            case _ if isinstance(section, dict):
                section[draw(st.text(max_size=8))] = draw(_ODD)
    return whole


def _check(text: str) -> Deployment | None:
    deployment, findings = parse(text, Path("file.yaml"))
    assert deployment is not None or has_errors(findings)
    for finding in findings:
        assert all((finding.code, finding.path, finding.got, finding.allowed, finding.change)), finding
        assert len(str(finding)) < 2000
        json.dumps(finding.as_dict())
    return deployment


_slow = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@_slow
@given(_FILES)
def test_every_file_of_the_schema_s_form_is_judged_by_the_rules(document: dict[str, Any]) -> None:
    _check(yaml.safe_dump(document))


@_slow
@given(_broken())
def test_a_broken_file_gets_findings(document: dict[str, Any]) -> None:
    _check(yaml.safe_dump(document))


@given(st.one_of(st.binary(), st.text().map(str.encode), from_schema({}).map(lambda value: json.dumps(value).encode())))
def test_validate_takes_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(content)
    assert main(["validate", str(path), "--output", "json"]) == 1
