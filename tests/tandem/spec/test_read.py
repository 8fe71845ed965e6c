"""Whatever a deployment file holds, reading it ends in findings that tell what to change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.spec.findings import Finding, Severity, has_errors
from tandem.spec.read import parse, read
from tests import documents
from tests.documents import ABSENT, document

_EXAMPLES = sorted((Path(__file__).parents[3] / "deployments").glob("*.yaml"))
_PATH = Path("file.yaml")


def _single(text: str) -> Finding:
    deployment, findings = parse(text, _PATH)
    assert deployment is None
    [found] = findings
    return found


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.stem)
def test_examples_have_no_error_and_only_one_known_warning(path: Path) -> None:
    deployment, findings = read(path)
    assert deployment is not None
    assert not has_errors(findings)
    assert {finding.code for finding in findings} <= {"plain-http"}


@pytest.mark.parametrize("provider", ["cs3", "vllm", "openai"])
def test_the_smallest_files_have_no_error(provider: str) -> None:
    _, findings = documents.read(provider)
    assert [finding.code for finding in findings] == ["plain-http"]


@pytest.mark.parametrize(
    ("change", "code", "path", "got", "allowed"),
    [
        ({"modle": 1}, "field-unknown", "modle", "an unknown key", "the keys of the schema (tandem schema)"),
        (
            {"decode__vllm": 1},
            "field-unknown",
            "decode.vllm",
            "an unknown key",
            "the keys of the schema (tandem schema)",
        ),
        ({"model__id": ABSENT}, "field-missing", "model.id", "nothing", "a value"),
        ({"decode__endpoint": ABSENT}, "field-missing", "decode.endpoint", "nothing", "a value"),
        ({"decode__provider": ABSENT}, "field-missing", "decode.provider", "nothing", "a value"),
        ({"decode__provider": "cs4"}, "field-invalid", "decode.provider", "'cs4'", "'cs3', 'vllm', 'openai'"),
        ({"version": 2}, "field-invalid", "version", "2", "1"),
        ({"model__max_model_len": "8192"}, "field-invalid", "model.max_model_len", "'8192'", "a valid integer"),
        ({"model__max_model_len": True}, "field-invalid", "model.max_model_len", "True", "a valid integer"),
        ({"prefill__groups": []}, "field-invalid", "prefill.groups", "[]", "list should have at least 1 item"),
        (
            {"prefill__groups__0__count": 0},
            "field-invalid",
            "prefill.groups.0.count",
            "0",
            "greater than or equal to 1",
        ),
        ({"name": "Upper"}, "field-invalid", "name", "'Upper'", "match pattern"),
        ({"name": "two--hyphens"}, "field-invalid", "name", "'two--hyphens'", "match pattern"),
        ({"account": 111122223333}, "field-invalid", "account", "111122223333", "a valid string"),
        ({"decode__endpoint": "http://plain"}, "field-invalid", "decode.endpoint", "'http://plain'", "match pattern"),
        (
            {"decode__endpoint": "https://a:0"},
            "field-invalid",
            "decode.endpoint",
            "'https://a:0'",
            "1 to 65535",
        ),
        ({"registration__registrar": "sagemaker"}, "field-invalid", "registration.registrar", "'sagemaker'", "none"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], code: str, path: str, got: str, allowed: str) -> None:
    found = _single(yaml.safe_dump(document("cs3", **change)))
    assert (found.code, found.path, found.got) == (code, path, got)
    assert allowed in found.allowed
    assert found.change
    assert found.severity is Severity.ERROR
    assert str(found) == f"ERROR {code} at {path}: got {got}, allowed is {found.allowed}; {found.change}"
    assert json.loads(json.dumps(found.as_dict()))["code"] == code


def test_a_key_that_is_no_text_is_named() -> None:
    _, findings = parse(yaml.safe_dump(document()) + "7: 8\n", _PATH)
    assert [(found.code, found.path) for found in findings] == [("field-invalid", "7")]


def test_all_wrong_fields_are_told_at_once() -> None:
    _, findings = documents.read(version=2, model__id=ABSENT, extra=1)
    assert {finding.path for finding in findings} == {"version", "model.id", "extra"}


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "NoneType"),
        ("- a\n- b\n", "list"),
        ("just words", "str"),
        ("a: [", "flow"),
        ("a: 1\na: 2\n", "key a is given twice"),
        ("b: {c: 1, c: 2}", "key c is given twice"),
        ("a: 1\n---\nb: 2\n", "single document"),
        ("? [1, 2]\n: 3\n", "unhashable"),
        ("name: \x07", "special characters"),
        ("name: *nowhere", "undefined alias"),
        ("name: !!python/object:os.system x", "could not determine a constructor"),
        ("name: !!bool 7", "7"),
        ("name: !!timestamp soon", ""),
        ('name: !!int ""', ""),
        ("name: 2026-13-45", "month must be in 1..12"),
        ("a: " + "[" * 5000, "recursion"),
    ],
)
def test_what_is_no_yaml_mapping_is_one_finding(text: str, got: str) -> None:
    found = _single(text)
    assert (found.code, found.path, found.allowed) == ("yaml-malformed", "file.yaml", "one YAML mapping")
    assert got in found.got


def test_anchors_are_read() -> None:
    text = yaml.safe_dump(document("vllm")).replace("example/model", "&n small").replace("name: small", "name: *n")
    deployment, _ = parse(text, _PATH)
    assert deployment is not None
    assert deployment.model.id == deployment.name == "small"


def test_anchors_that_multiply_are_told_in_a_line() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 20)]  # 8**20 words when written out
    deployment, findings = parse("\n".join([*lines, "name: *a19"]), _PATH)
    assert deployment is None
    assert all(len(str(finding)) < 500 for finding in findings)


def test_an_anchor_within_itself_is_told_in_a_line() -> None:
    _, findings = parse("name: &n [*n]\nmodel: &m {id: *m}\n", _PATH)
    assert {"name", "model.id"} <= {finding.path for finding in findings}


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_an_unreadable_file_is_one_finding(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_bytes(content)
    deployment, [found] = read(path)
    assert deployment is None
    assert (found.code, found.path) == ("file-unreadable", str(path))
    assert found.got == ("bytes that are not UTF-8" if content else "no such file or directory")


def test_a_folder_is_one_finding(tmp_path: Path) -> None:
    _, [found] = read(tmp_path)
    assert found.got == "is a directory"


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["10.0.0.0/16", "0.0.0.0/33", "us-east-2a", "https://x", "cs3", "vllm", "trn1.2xlarge", 1, 10**30]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def _places(node: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [place for key, child in children for place in [(*path, key), *_places(child, (*path, key))]]


@settings(max_examples=300)
@given(provider=st.sampled_from(["cs3", "vllm", "openai"]), data=st.data())
def test_no_file_raises(provider: str, data: st.DataObject) -> None:
    whole = document(provider)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(_places(whole)))
        section: Any = whole
        for part in parents:
            section = section[part]
        if data.draw(st.booleans()):
            section[last] = data.draw(_VALUES)
        else:
            del section[last]
        if not whole:
            return
    deployment, findings = parse(yaml.safe_dump(whole), _PATH)
    assert deployment is not None or has_errors(findings)
    assert all(finding.code and finding.path and finding.change for finding in findings)


@settings(max_examples=100)
@given(st.text())
def test_no_text_raises(text: str) -> None:
    parse(text, _PATH)
