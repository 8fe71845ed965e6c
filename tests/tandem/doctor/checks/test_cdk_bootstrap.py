"""An account that is not bootstrapped, or of old, is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_cdk import App, CfnResource, Stack

from tandem.doctor.checks import cdk_bootstrap
from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import client, judge


def test_no_bootstrap_stack_fails() -> None:
    result = judge("cdk-bootstrap", deployment(account="111122223333"))
    assert result.verdict is Verdict.FAIL
    assert result.change == "run cdk bootstrap aws://111122223333/us-east-2"


@pytest.mark.parametrize(("version", "verdict"), [("5", "FAIL"), ("6", "PASS"), ("32", "PASS")])
def test_the_version_counts(version: str, verdict: str) -> None:
    client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value=version, Type="String")
    result = judge("cdk-bootstrap", deployment())
    assert result.verdict == verdict
    assert result.found == f"bootstrap version {version}, 6 is needed"


def test_what_is_needed_is_what_the_cdk_says(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    CfnResource(Stack(app, "One"), "Wait", type="AWS::CloudFormation::WaitConditionHandle")
    app.synth()
    artifacts = json.loads((tmp_path / "manifest.json").read_text())["artifacts"]
    assert artifacts["One"]["properties"]["requiresBootstrapStackVersion"] == cdk_bootstrap._NEEDED
