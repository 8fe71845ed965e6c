"""The command line says what is wrong, in words or JSON, and by its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
import yaml

from tandem.cli import main

ROOT = Path(__file__).parents[3]
DEPLOYMENTS = sorted((ROOT / "deployments").glob("*.yaml"))
REHEARSAL = ROOT / "deployments" / "rehearsal.yaml"
SCHEMA = ROOT / "deployments" / "schema.json"
VALIDATE = """
import json, sys
from tandem.cli import main
status = main(["validate", sys.argv[1]])
print(json.dumps({"status": status, "modules": list(sys.modules)}))
"""


def write(folder: Path, **changes: Any) -> Path:
    """Write the rehearsal's deployment with other values."""
    path = folder / "deployment.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(REHEARSAL.read_text()), **changes}))
    return path


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


def test_the_files_that_we_ship_are_valid() -> None:
    assert len(DEPLOYMENTS) == 5
    assert [main(["validate", str(path)]) for path in DEPLOYMENTS] == [0] * 5


def test_validate_prints_every_finding_and_their_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, name="Upper Case", version=2)
    assert main(["validate", str(path)]) == 1
    *findings, last = capsys.readouterr().out.splitlines()
    assert last == f"{path}: 2 findings"
    assert sorted(line.split(":")[0] for line in findings) == [
        "ERROR field-invalid at name",
        "ERROR field-invalid at version",
    ]
    assert all("; change the value" in line for line in findings)


def test_one_finding_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, modle={})
    assert main(["validate", str(path), "--output=text"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ERROR field-unknown at modle: got an unknown key, allowed is the keys of the schema (tandem schema); "
        "remove or respell the key",
        f"{path}: 1 finding",
    ]


def test_a_warning_is_shown_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(REHEARSAL)]) == 0
    warning, last = capsys.readouterr().out.splitlines()
    assert warning.startswith("WARNING plain-http at gateway.certificate_arn: ")
    assert last == f"{REHEARSAL}: 1 finding"


def test_no_findings_are_said_to_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "deployments" / "llama-3.3-70b-trn2-cs3.yaml"
    assert main(["validate", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: no findings\n"


@pytest.mark.parametrize(("changes", "status", "code"), [({}, 0, "plain-http"), ({"modle": 1}, 1, "field-unknown")])
def test_findings_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], status: int, code: str
) -> None:
    assert main(["validate", "--output", "json", str(write(tmp_path, **changes))]) == status
    [finding] = json.loads(capsys.readouterr().out)
    assert finding.keys() == {"code", "path", "got", "allowed", "change", "severity"}
    assert (finding["code"], finding["severity"] == "ERROR") == (code, bool(status))


def test_no_findings_as_json_are_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--output=json", str(ROOT / "deployments" / "llama-3.3-70b-trn2-cs3.yaml")]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(("command", "told"), [("validate", "out"), ("rehearse", "err")])
@pytest.mark.parametrize("name", ["missing.yaml", "folder", "empty.yaml"])
def test_a_file_of_no_use_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, told: str, name: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.yaml").touch()
    assert main([command, str(tmp_path / name)]) == 1
    printed = getattr(capsys.readouterr(), told)
    assert printed.startswith(f"ERROR {'yaml-malformed' if 'empty' in name else 'file-unreadable'} at ")


def test_a_deployment_with_errors_is_not_rehearsed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = {"efa_zone": "eu-west-1a", "load_balancer_zones": ["us-east-2a", "us-east-2b"]}
    assert main(["rehearse", str(write(tmp_path, network=network))]) == 1
    assert "ERROR " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "deployment.yaml"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["deploy"],
        ["validate"],
        ["rehearse"],
        ["validate", "f", "--output=xml"],
        ["schema", "f"],
        ["validate", "f", "g"],
    ],
)
def test_a_wrong_command_line_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert capsys.readouterr().err.startswith("usage: tandem")


def test_output_that_nobody_reads_to_its_end_is_no_error() -> None:
    command = [sys.executable, "-m", "tandem.cli", "schema"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_validate_loads_neither_the_cdk_nor_the_embedded_aws() -> None:
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE, str(REHEARSAL)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    packages = {name.partition(".")[0] for name in told["modules"]}
    assert told["status"] == 0
    assert not packages & {"aws_cdk", "jsii", "moto", "boto3", "botocore", "aiohttp", "openai", "numpy", "nixl"}
    assert len(told["modules"]) < 400, "each takes its time, a quarter of a second in all"


def test_the_published_schema_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == SCHEMA.read_text(), "run: tandem schema > deployments/schema.json"


def test_the_schema_is_one(validator: jsonschema.Draft202012Validator) -> None:
    validator.check_schema(validator.schema)
    assert validator.schema["$schema"] == validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("path", DEPLOYMENTS, ids=lambda path: path.stem)
def test_the_schema_accepts_what_we_ship_and_editors_find_it(
    path: Path, validator: jsonschema.Draft202012Validator
) -> None:
    text = path.read_text()
    validator.validate(yaml.safe_load(text))
    assert text.splitlines()[0] == "# yaml-language-server: $schema=schema.json"


@pytest.mark.parametrize(
    "changes",
    [
        {"modle": {}},
        {"model": {"id": "m", "max_model_len": 8192, "size": 1}},
        {"decode": {"provider": "cs3", "endpoint": "https://cs3.example.com", "peer_cidr": "10.0.0.0/8", "key": "x"}},
        {"decode": {"provider": "cs4"}},
        {"name": "Upper Case"},
        {"version": 2},
        {"model": {"id": "m", "max_model_len": "8192"}},
        {"prefill": {"groups": []}},
    ],
)
def test_the_schema_refuses_what_validate_refuses(
    tmp_path: Path, changes: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    path = write(tmp_path, **changes)
    assert not validator.is_valid(yaml.safe_load(path.read_text()))
    assert main(["validate", str(path)]) == 1
