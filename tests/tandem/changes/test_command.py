"""``tandem diff`` compares folders of templates, or what is deployed, and its exit status tells of data at risk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tandem.cli import main
from tests.tandem.changes.deployments import stacks

ROOT = Path(__file__).parents[3]
FILE = str(ROOT / "deployments" / "rehearsal.yaml")


def _folder(path: Path, templates: dict[str, dict[str, Any]]) -> str:
    path.mkdir()
    for name, template in templates.items():
        (path / f"{name}.template.json").write_text(json.dumps(template))
    return str(path)


@pytest.fixture
def old(tmp_path: Path) -> str:
    return _folder(tmp_path / "old", stacks())


def _diff(*arguments: str) -> int:
    return main(["diff", FILE, *arguments])


def test_no_change(tmp_path: Path, old: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _diff("--against", old, "--app", _folder(tmp_path / "new", stacks())) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.endswith(" nothing")


def test_a_table_by_consequence_worst_first(tmp_path: Path, old: str, capsys: pytest.CaptureFixture[str]) -> None:
    new = _folder(tmp_path / "new", stacks("openai"))
    assert _diff("--against", old, "--app", new) == 1
    lines = capsys.readouterr().out.splitlines()
    heads = [line.partition(" (")[0] for line in lines if not line.startswith("  ")]
    assert heads[:4] == ["DATA AT RISK", "REMOVAL", "ROLLING", "IN PLACE"]
    assert "small-prefill is no longer in the app" in heads[-2]
    assert lines[-1].startswith("4 data at risk, ")
    ending = "AWS::SecretsManager::Secret  removed; DeletionPolicy is Delete"
    removed = [line for line in lines if line.endswith(ending)]
    assert {line.split()[0] for line in removed} == {"small-decode", "small-prefill"}


def test_data_loss_may_be_allowed(tmp_path: Path, old: str) -> None:
    new = _folder(tmp_path / "new", stacks("openai"))
    assert _diff("--against", old, "--app", new, "--allow-data-loss") == 0


def test_json(tmp_path: Path, old: str, capsys: pytest.CaptureFixture[str]) -> None:
    new = _folder(tmp_path / "new", stacks("openai"))
    assert _diff("--against", old, "--app", new, "--output=json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"counts", "refusals", "orphans", "changes"}
    assert told["orphans"] == ["small-prefill"]
    assert told["counts"]["data at risk"] == 4
    assert len(told["changes"]) == sum(told["counts"].values()) - told["counts"]["nothing"]
    assert told["changes"][0].keys() == {"consequence", "stack", "logical_id", "path", "type", "reason"}
    assert told["changes"][0]["consequence"] == "data at risk"


def test_against_what_is_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    with mock_aws():
        client = boto3.client("cloudformation", region_name="us-east-2")
        client.create_stack(StackName="small-storage", TemplateBody=json.dumps(topic))
        assert _diff("--app", _folder(tmp_path / "new", {"small-storage": topic})) == 0
    assert capsys.readouterr().out.endswith(" nothing\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "got no *.template.json, allowed is a folder that cdk synth wrote"), ("{", "got an unreadable template")],
)
def test_a_folder_of_no_use_is_told(
    tmp_path: Path, old: str, content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content:
        (tmp_path / "x.template.json").write_text(content)
    assert _diff("--against", old, "--app", str(tmp_path)) == 1
    assert message in capsys.readouterr().err


def test_a_file_with_errors_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", str(tmp_path / "absent.yaml")]) == 1
    assert capsys.readouterr().err.startswith("ERROR file-unreadable")
