"""The whole app: every example synthesizes, the same each time, reviewed by cdk-nag and cfn-lint, and as recorded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_s3 as s3

import app
from tests.assemblies import EXAMPLES, REGISTRARS
from tests.templates import context

_ROOT = Path(__file__).parents[1]
_EXAMPLES = [path.stem for path in EXAMPLES]
_SNAPSHOTS = _ROOT / "tests" / "snapshots"
_LARGEST = "llama-3.3-70b-trn2-cs3"


def _synthesize(outdir: Path, deployment: str | None = None) -> int:
    """Synthesize in this process, with the context that the CDK CLI would hand over."""
    values = context() | ({"deployment": deployment} if deployment else {})
    return app.synthesize(App(outdir=str(outdir), context=values))


@pytest.mark.parametrize("name", [*_EXAMPLES, *REGISTRARS])
def test_every_example_and_registrar_passes_review_with_no_finding_left(assemblies: dict[str, Path], name: str) -> None:
    report = json.loads((assemblies[name] / "validation-report.json").read_text())
    assert [each["violations"] for each in report["pluginReports"]] == [[]]


def test_review_runs_and_a_violation_fails_synth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(scope: App, _: object) -> None:
        s3.Bucket(Stack(scope, "Careless"), "Bucket")

    monkeypatch.setattr(app, "build", careless)
    with pytest.raises(RuntimeError) as raised:
        _synthesize(tmp_path)
    for finding in ("AwsSolutions-S10", "NIST.800.53.R5-S3BucketVersioningEnabled"):
        assert finding in str(raised.value)


def test_cdks_own_checks_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def invalid(scope: App, _: object) -> None:
        bucket = s3.CfnBucket(Stack(scope, "Invalid"), "Bucket")
        bucket.add_property_override("BucketEncryption", "yes please")

    monkeypatch.setattr(app, "build", invalid)
    with pytest.raises(RuntimeError, match="CloudFormation Validate"):
        _synthesize(tmp_path)


def test_without_context_the_rehearsals_file_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr(app, "build", lambda _, deployment: built.append(deployment.name))
    assert _synthesize(tmp_path) == 0
    assert built == ["rehearsal"]


def test_errors_stop_synth_and_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((_ROOT / "deployments" / "rehearsal.yaml").read_text().replace("us-east-2a", "eu-west-1a"))
    assert _synthesize(tmp_path / "out", str(wrong)) == 1
    told = capsys.readouterr().err
    assert "ERROR zone-outside-region at network.efa_zone: got eu-west-1a, allowed is a zone of us-east-2" in told
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_missing_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _synthesize(tmp_path, "deployments/absent.yaml") == 1
    told = capsys.readouterr().err
    assert re.search(r"ERROR file-unreadable at .*deployments/absent.yaml: got no such file or directory", told)


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    running = {seed: _start(tmp_path / seed, seed) for seed in ("1", "2")}
    for process in running.values():
        _, told = process.communicate()
        assert process.returncode == 0, told
    first, second = (_written(tmp_path / seed / "cdk.out") for seed in running)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def _start(folder: Path, seed: str) -> subprocess.Popen[str]:
    """Start ``python3 app.py`` with no credentials and an empty home."""
    (folder / "home").mkdir(parents=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "PYTHONHASHSEED": seed,
        "CDK_OUTDIR": str(folder / "cdk.out"),
        "CDK_CONTEXT_JSON": json.dumps(context() | {"deployment": f"deployments/{_LARGEST}.yaml"}),
    }
    command = [sys.executable, "app.py"]
    return subprocess.Popen(command, cwd=_ROOT, env=environment, text=True, stderr=subprocess.PIPE)


def _written(outdir: Path) -> dict[str, bytes]:
    # the other files hold stack traces, in which jsii's temporary folder shows
    kinds = ("*.template.json", "*.assets.json", "manifest.json", "tree.json")
    written = {path.name: path.read_bytes() for kind in kinds for path in outdir.glob(kind)}
    assert len(written) == 7 + 7 + 2
    return written


@pytest.mark.parametrize("name", _EXAMPLES)
def test_templates_are_as_recorded(assemblies: dict[str, Path], name: str) -> None:
    """Show in review what a change does to the templates; record anew with ``UPDATE_SNAPSHOTS=1``."""
    found = _normalized(assemblies[name])
    snapshot = _SNAPSHOTS / f"{name}.json"
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        snapshot.write_text(found)
    assert snapshot.read_text() == found, "the templates changed: review, then record anew with UPDATE_SNAPSHOTS=1"


def _normalized(assembly: Path) -> str:
    """Return all templates as one JSON text in which assets have no content hash."""
    templates = {path.name: json.loads(path.read_text()) for path in sorted(assembly.glob("*.template.json"))}
    return re.sub(r"[0-9a-f]{64}", "<asset>", json.dumps(templates, indent=1)) + "\n"


def test_cfn_lint_finds_nothing(assemblies: dict[str, Path]) -> None:
    templates = [str(path) for folder in assemblies.values() for path in sorted(folder.glob("*.template.json"))]
    # W3005: CDK repeats a dependency that a reference makes; W3010: zones are named on purpose
    ignored = ["--ignore-checks", "W3005", "W3010"]
    regions = ["--regions", "us-east-2", "--format", "parseable"]
    lint = [str(Path(sys.executable).parent / "cfn-lint"), *ignored, *regions, "--", *templates]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:2000]) == (0, "")


def test_cfn_lint_runs(tmp_path: Path, assemblies: dict[str, Path]) -> None:
    template: dict[str, Any] = json.loads(next(assemblies[_LARGEST].glob("*-prefill.template.json")).read_text())
    [body] = [b for b in template["Resources"].values() if b["Type"] == "AWS::EC2::LaunchTemplate"]
    body["Properties"]["LaunchTemplateData"]["InstanceType"] = "trn9.48xlarge"
    (tmp_path / "wrong.json").write_text(json.dumps(template))
    lint = [str(Path(sys.executable).parent / "cfn-lint"), "--regions", "us-east-2", "--", str(tmp_path / "wrong.json")]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert "E3628" in done.stdout
