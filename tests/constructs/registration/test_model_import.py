"""The import registrar: a handler with the least rights, and the properties that it needs."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.functions import model_import
from tests.templates import only, resources, statements, templates

_CHANGES = {
    "registration__registrar": "import",
    "model__weights": "s3://weights.example/llama",
    "registration__cost_tags": {"team": "search"},
}


@pytest.fixture(scope="module")
def registration() -> dict[str, Any]:
    return templates("cs3", **_CHANGES)["registration"]


def _allowed(template: dict[str, Any], role: str) -> dict[str, dict[str, Any]]:
    """Return the statement that allows each action, by action."""
    found: dict[str, dict[str, Any]] = {}
    for statement in statements(template, role):
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            found.setdefault(action, statement)
    return found


def test_the_handler_is_the_functions_own_and_has_its_hour(registration: dict[str, Any]) -> None:
    function = only(registration, "AWS::Lambda::Function")
    assert function["Handler"] == f"{model_import.__name__}.handler"
    assert callable(model_import.handler)
    assert function["Timeout"] == 900
    assert only(registration, "Custom::BedrockImportedModel")["ServiceTimeout"] == "3600"


def test_the_resource_says_what_to_import(registration: dict[str, Any]) -> None:
    resource = only(registration, "Custom::BedrockImportedModel")
    assert resource["Name"] == "small"
    assert resource["Tags"] == {"team": "search", "tandem:deployment": "small"}
    assert resource["WeightsUri"] == "s3://weights.example/llama/"
    # what the function reads is what the template gives it
    event = {"RequestType": "Create", "RequestId": "r", "StackId": "s", "LogicalResourceId": "l"}
    text = {key: value if isinstance(value, str) else "deployed" for key, value in resource.items()}
    goal = model_import.plan({**event, "ResourceProperties": {**text, "Tags": resource["Tags"]}}, None)
    assert goal.wanted_id.startswith("small-")


def test_it_changes_none_but_its_own_models(registration: dict[str, Any]) -> None:
    allowed = _allowed(registration, "HandlerRole")
    for action in ("bedrock:DeleteImportedModel", "bedrock:UntagResource"):
        assert allowed[action]["Condition"] == {"StringEquals": {"aws:ResourceTag/tandem:deployment": "small"}}
    assert allowed["bedrock:TagResource"]["Condition"] == {
        "StringEquals": {"aws:RequestTag/tandem:deployment": "small"}
    }
    everywhere = {action for action, statement in allowed.items() if statement["Resource"] == "*"}
    assert everywhere == {"bedrock:CreateModelImportJob", "bedrock:ListModelImportJobs"}


def test_it_may_do_just_what_it_calls(registration: dict[str, Any]) -> None:
    assert set(_allowed(registration, "HandlerRole")) == {
        "bedrock:CreateModelImportJob",
        "bedrock:DeleteImportedModel",
        "bedrock:GetImportedModel",
        "bedrock:GetModelImportJob",
        "bedrock:ListModelImportJobs",
        "bedrock:ListTagsForResource",
        "bedrock:TagResource",
        "bedrock:UntagResource",
        "iam:PassRole",
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:GenerateDataKey",
        "lambda:InvokeFunction",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }


def test_it_passes_the_reader_alone_and_to_bedrock_alone(registration: dict[str, Any]) -> None:
    [reader] = [key for key in resources(registration, "AWS::IAM::Role") if "Reader" in key]
    passing = _allowed(registration, "HandlerRole")["iam:PassRole"]
    assert passing["Resource"] == {"Fn::GetAtt": [reader, "Arn"]}
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}


def test_bedrock_reads_the_weights_and_nothing_beside_them(registration: dict[str, Any]) -> None:
    allowed = _allowed(registration, "Reader")
    assert set(allowed) == {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"}
    assert allowed["s3:GetObject"]["Resource"]["Fn::Join"][1][-1] == ":s3:::weights.example/llama/*"
    assert allowed["s3:ListBucket"]["Condition"] == {"StringLike": {"s3:prefix": "llama/*"}}
    [role] = [body for key, body in resources(registration, "AWS::IAM::Role").items() if "Reader" in key]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_the_import_begins_when_every_right_is_there(registration: dict[str, Any]) -> None:
    [resource] = [b for b in registration["Resources"].values() if b["Type"] == "Custom::BedrockImportedModel"]
    policies = set(resources(registration, "AWS::IAM::Policy"))
    # the role's default policy is made before the function, which the resource refers to
    assert {name for name in policies if "Reader" in name or "Resume" in name} <= set(resource["DependsOn"])


def test_it_may_invoke_itself_alone(registration: dict[str, Any]) -> None:
    [function] = resources(registration, "AWS::Lambda::Function")
    resume = _allowed(registration, "HandlerRole")["lambda:InvokeFunction"]
    assert resume["Resource"] == {"Fn::GetAtt": [function, "Arn"]}


def test_the_models_arn_is_an_output(registration: dict[str, Any]) -> None:
    [output] = [body for body in registration["Outputs"].values() if "InvokeModel" in body.get("Description", "")]
    [resource] = resources(registration, "Custom::BedrockImportedModel")
    assert output["Value"] == {"Fn::GetAtt": [resource, "ModelArn"]}
