"""Rehearse the registrars that are custom resources: their functions run from their deployed assets."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.rehearsal


def test_weights_are_imported(checkout: Any) -> None:
    text = (checkout.root / "deployments" / "rehearsal.yaml").read_text()
    text = text.replace("model:\n", "model:\n  weights: s3://weights.example/smollm2\n")
    file = checkout.root / "deployments" / "import.yaml"
    file.write_text(text + "registration:\n  registrar: import\n")
    status, output = checkout.run("rehearse", "deployments/import.yaml")
    assert status == 0, output
    assert "rehearsal-registration" in {stack["name"] for stack in checkout.report()["stacks"]}
    told = "".join(log.read_text() for log in (checkout.root / ".rehearsal" / "logs").glob("*gateway*"))
    assert '"event":"tokenizer","source":"s3://weights.example/smollm2/tokenizer.json"' in told


def test_an_endpoint_that_is_not_there_fails_the_deployment(checkout: Any) -> None:
    arn = "arn:aws:sagemaker:us-east-2"
    registration = (
        "registration:\n  registrar: marketplace\n"
        f"  endpoint_arn: {arn}:123456789012:endpoint/absent\n"
        f"  model_source: {arn}:aws:hub-content/SageMakerPublicHub/Model/llama/1.0.0\n"
    )
    file = checkout.root / "deployments" / "marketplace.yaml"
    file.write_text((checkout.root / "deployments" / "rehearsal.yaml").read_text() + registration)
    status, output = checkout.run("rehearse", "deployments/marketplace.yaml")
    assert status == 1
    assert "cdk deploy failed" in output
    # the other stacks go on printing after the cause
    log = (checkout.root / ".rehearsal" / "cdk.log").read_text()
    assert f"there is no endpoint {arn}:123456789012:endpoint/absent" in log
