"""What every stack of a deployment has in common."""

from __future__ import annotations

import tempfile
from typing import Any, get_args

import pytest
from aws_cdk import App

from app import build
from stacks import base
from tandem.spec.observability import Observability
from tests.documents import deployment
from tests.templates import context, resources, templates


def _stacks(**changes: object) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as outdir:
        app = App(outdir=outdir, context=context())
        build(app, deployment("cs3", **changes))
        return {stack.stack_name: stack for stack in app.synth().stacks}


def test_stacks_are_named_after_the_deployment_and_go_where_it_says() -> None:
    stacks = _stacks(account="111122223333")
    kinds = ("decode", "gateway", "network", "observability", "prefill", "storage")
    assert sorted(stacks) == [f"small-{kind}" for kind in kinds]
    places = {(stack.environment.account, stack.environment.region) for stack in stacks.values()}
    assert places == {("111122223333", "us-east-2")}
    assert [name for name, stack in stacks.items() if stack.termination_protection] == ["small-storage"]


def test_resources_bear_the_deployments_name() -> None:
    tag = {"Key": "tandem:deployment", "Value": "small"}
    for kind in ("AWS::EC2::VPC", "AWS::S3::Bucket", "AWS::ECS::Cluster", "AWS::SecretsManager::Secret"):
        tags = [found["Tags"] for template in templates().values() for found in resources(template, kind).values()]
        assert tags
        assert all(tag in each for each in tags)


def test_without_an_account_the_callers_is_used() -> None:
    assert {stack.environment.account for stack in _stacks().values()} == {"unknown-account"}


def test_every_retention_that_a_file_may_name_exists() -> None:
    allowed = get_args(Observability.model_fields["log_retention_days"].annotation)
    assert set(base._RETENTION) == set(allowed)


@pytest.mark.parametrize("days", [1, 3653])
def test_retention_reaches_every_log_group(days: int) -> None:
    found = {
        body["Properties"]["RetentionInDays"]
        for template in templates(observability__log_retention_days=days).values()
        for body in template["Resources"].values()
        if body["Type"] == "AWS::Logs::LogGroup"
    }
    assert found == {days}
