"""Rotation runs the deployed function, step by step, and a step that fails is the last."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tandem.rehearsal.cloud.server import EmbeddedCloud
from tests.patience import LONG_SECONDS

FUNCTION = """
import boto3, os
def handler(event, context):
    client, secret, token = boto3.client("secretsmanager"), event["SecretId"], event["ClientRequestToken"]
    if event["Step"] == "createSecret":
        client.put_secret_value(
            SecretId=secret, ClientRequestToken=token, SecretString="two", VersionStages=["AWSPENDING"])
    if event["Step"] == "testSecret":
        tag = client.describe_secret(SecretId=secret).get("Description", "")
        assert tag != "broken", "the new key does not work"
    if event["Step"] == "finishSecret":
        stages = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
        [current] = [version for version, at in stages.items() if "AWSCURRENT" in at]
        client.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current)
"""
ACTIONS = ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"]


def template(*, permission: bool = True, at_once: bool = False) -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    statement = {"Effect": "Allow", "Action": [f"secretsmanager:{a}" for a in ACTIONS], "Resource": {"Ref": "Secret"}}
    policy = {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    arn = {"Fn::GetAtt": ["Function", "Arn"]}
    resources: dict[str, Any] = {
        "Secret": ("SecretsManager::Secret", {"SecretString": "one"}),
        "Role": (
            "IAM::Role",
            {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}, "Policies": [policy]},
        ),
        "Function": (
            "Lambda::Function",
            {
                "Runtime": "python3.14",
                "Handler": "index.handler",
                "Code": {"ZipFile": FUNCTION},
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Timeout": LONG_SECONDS,
            },
        ),
        "Permission": (
            "Lambda::Permission",
            {"FunctionName": arn, "Action": "lambda:InvokeFunction", "Principal": "secretsmanager.amazonaws.com"},
        ),
        "Schedule": (
            "SecretsManager::RotationSchedule",
            {
                "SecretId": {"Ref": "Secret"},
                "RotationLambdaARN": arn,
                "RotationRules": {"AutomaticallyAfterDays": 30},
                "RotateImmediatelyOnUpdate": at_once,
            },
        ),
    }
    if not permission:
        del resources["Permission"]
    bodies = {key: {"Type": f"AWS::{kind}", "Properties": own} for key, (kind, own) in resources.items()}
    bodies["Schedule"]["DependsOn"] = [key for key in ("Permission",) if key in bodies]
    return json.dumps({"Resources": bodies})


Deploy = Callable[[str], str]


@pytest.fixture
def deploy(cloud: EmbeddedCloud) -> Any:
    """Create a stack; return its secret's ARN, or why there is none."""
    formation = cloud.api.client("cloudformation")
    made: list[str] = []

    def run(text: str) -> str:
        made.append(f"rotation-{len(made)}")
        formation.create_stack(StackName=made[-1], TemplateBody=text)
        [stack] = formation.describe_stacks(StackName=made[-1])["Stacks"]
        if stack["StackStatus"] != "CREATE_COMPLETE":
            return str(stack.get("StackStatusReason"))
        rows = formation.describe_stack_resources(StackName=made[-1])["StackResources"]
        return str(next(row["PhysicalResourceId"] for row in rows if row["LogicalResourceId"] == "Secret"))

    yield run
    for name in made:
        formation.delete_stack(StackName=name)


def values(cloud: EmbeddedCloud, arn: str) -> dict[str, str | None]:
    client = cloud.api.client("secretsmanager")
    found: dict[str, str | None] = {}
    for stage in ("AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"):
        try:
            found[stage] = client.get_secret_value(SecretId=arn, VersionStage=stage)["SecretString"]
        except ClientError:
            found[stage] = None
    assert client.get_secret_value(SecretId=arn)["SecretString"] == found["AWSCURRENT"]
    return found


def test_a_rotation_replaces_the_value_and_keeps_the_one_before(cloud: EmbeddedCloud, deploy: Deploy) -> None:
    arn = deploy(template())
    assert values(cloud, arn) == {"AWSCURRENT": "one", "AWSPREVIOUS": None, "AWSPENDING": None}
    cloud.api.client("secretsmanager").rotate_secret(SecretId=arn)
    assert values(cloud, arn) == {"AWSCURRENT": "two", "AWSPREVIOUS": "one", "AWSPENDING": None}


def test_one_that_fails_changes_nothing_and_is_taken_up_again(cloud: EmbeddedCloud, deploy: Deploy) -> None:
    client, arn = cloud.api.client("secretsmanager"), deploy(template())
    client.update_secret(SecretId=arn, Description="broken")
    first = client.rotate_secret(SecretId=arn)["VersionId"]
    assert values(cloud, arn) == {"AWSCURRENT": "one", "AWSPREVIOUS": None, "AWSPENDING": "two"}
    client.update_secret(SecretId=arn, Description="whole")
    assert client.rotate_secret(SecretId=arn)["VersionId"] == first
    assert values(cloud, arn)["AWSCURRENT"] == "two"


def test_a_schedule_may_rotate_at_once(cloud: EmbeddedCloud, deploy: Deploy) -> None:
    assert values(cloud, deploy(template(at_once=True)))["AWSCURRENT"] == "two"


def test_a_function_that_secrets_manager_may_not_invoke_is_refused(deploy: Deploy) -> None:
    assert "cannot invoke" in deploy(template(permission=False))
