"""Deployed functions run with their own code, environment and role; custom resources obey their responses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.patience import LONG_SECONDS
from tests.tandem.rehearsal.cloud.conftest import ACCOUNT, Deployer

ECHO = """
import json, os, sys
import boto3
def handler(event, context):
    print("hello from", context.function_name)
    if event.get("fail"):
        raise ValueError("told to fail")
    if event.get("who"):
        return boto3.client("sts").get_caller_identity()["Arn"]
    if event.get("sleep"):
        import time; time.sleep(30)
    repo = any(name.split(".")[0] == "runtime" for name in sys.modules)
    return {"got": event, "colour": os.environ["COLOUR"], "repo": repo}
"""

MAKER = """
import cfnresponse, json, os
def handler(event, context):
    properties = event["ResourceProperties"]
    print(json.dumps({"did": event["RequestType"], "id": event.get("PhysicalResourceId")}))
    import boto3
    boto3.client("ssm").put_parameter(Name="/log/" + context.aws_request_id, Type="String",
        Value=json.dumps([event["RequestType"], event.get("PhysicalResourceId", ""), properties["Count"]]))
    if properties.get("Refuse") == event["RequestType"]:
        cfnresponse.send(event, context, cfnresponse.FAILED, {}, "thing-refused", reason="I would rather not")
    elif properties.get("Silent"):
        return
    else:
        data = {"Twice": properties["Count"] * 2}
        cfnresponse.send(event, context, cfnresponse.SUCCESS, data, "thing-" + properties["Count"])
"""


def role(*actions: str) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    grant = {"Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    policies = [{"PolicyName": "own", "PolicyDocument": grant}] if actions else []
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Statement": [trust]}, "Policies": policies},
    }


def function(code: str, **more: Any) -> dict[str, Any]:
    properties = {
        "Code": {"ZipFile": code},
        "Handler": "index.handler",
        "Runtime": "python3.13",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Environment": {"Variables": {"COLOUR": "red"}},
        **more,
    }
    return {"Type": "AWS::Lambda::Function", "Properties": properties}


@pytest.fixture(scope="module")
def echo(deployer: Deployer) -> str:
    return deployer.round_trip("echo", {"Role": role(), "Echo": function(ECHO, Timeout=LONG_SECONDS)})["Echo"]


def invoke(deployer: Deployer, name: str, event: dict[str, Any]) -> dict[str, Any]:
    answer = deployer.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    return {"payload": json.loads(answer["Payload"].read()), "error": answer.get("FunctionError"), **answer}


def test_invoke_runs_the_deployed_code(deployer: Deployer, echo: str) -> None:
    answer = invoke(deployer, echo, {"a": 1})
    assert answer["payload"] == {"got": {"a": 1}, "colour": "red", "repo": False}
    assert answer["error"] is None
    assert deployer.cloud.functions.invoke(echo, {"a": 1}).log.startswith(f"hello from {echo}")


def test_function_has_its_role(deployer: Deployer, echo: str) -> None:
    assert f":sts::{ACCOUNT}:assumed-role/echo-Role-" in invoke(deployer, echo, {"who": True})["payload"]


def test_errors_and_timeouts(deployer: Deployer, echo: str) -> None:
    failed = invoke(deployer, echo, {"fail": True})
    assert (failed["error"], failed["payload"]["errorMessage"]) == ("Unhandled", "told to fail")
    sleeper = deployer.round_trip("sleeper", {"Role": role(), "F": function(ECHO, Timeout=1)})["F"]
    slow = invoke(deployer, sleeper, {"sleep": True})
    assert slow["payload"]["errorMessage"] == "Task timed out after 1 seconds"
    deployer.delete("sleeper")


def test_update_runs_the_new_code(deployer: Deployer) -> None:
    def resources(word: str) -> dict[str, Any]:
        return {"Role": role(), "F": function(f"def handler(event, context): return '{word}'")}

    name = deployer.round_trip("again", resources("one"))["F"]
    deployer.update("again", resources("two"))
    assert invoke(deployer, name, {})["payload"] == "two"
    deployer.delete("again")


def test_node_functions_run(deployer: Deployer) -> None:
    code = "exports.handler = async (event) => ({ doubled: event.n * 2, colour: process.env.COLOUR });"
    name = deployer.round_trip("node", {"Role": role(), "F": function(code, Runtime="nodejs24.x")})["F"]
    assert invoke(deployer, name, {"n": 4})["payload"] == {"doubled": 8, "colour": "red"}
    deployer.delete("node")


def maker(count: int, **more: Any) -> dict[str, Any]:
    token = {"ServiceToken": {"Fn::GetAtt": ["F", "Arn"]}}
    return {
        "Role": role("ssm:PutParameter"),
        "F": function(MAKER, Timeout=LONG_SECONDS),
        "Thing": {"Type": "Custom::Thing", "Properties": {**token, "Count": count, **more}},
        "Seen": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/seen", "Type": "String", "Value": {"Fn::GetAtt": ["Thing", "Twice"]}},
        },
    }


def events(deployer: Deployer) -> list[list[str]]:
    """Return the events that the function got since the last call, and forget them."""
    ssm = deployer.client("ssm")
    rows = ssm.get_parameters_by_path(Path="/log", WithDecryption=True)["Parameters"]
    for row in rows:
        ssm.delete_parameter(Name=row["Name"])
    return [json.loads(row["Value"]) for row in sorted(rows, key=lambda row: row["LastModifiedDate"])]


def test_custom_resource_lives(deployer: Deployer) -> None:
    events(deployer)  # of other tests
    assert deployer.round_trip("maker", maker(1))["Thing"] == "thing-1"
    assert events(deployer) == [["Create", "", "1"]]
    deployer.update("maker", maker(2))
    assert events(deployer) == [["Update", "thing-1", "2"], ["Delete", "thing-1", "1"]]
    assert deployer.client("ssm").get_parameter(Name="/seen")["Parameter"]["Value"] == "22"
    assert deployer.delete("maker") == "DELETE_COMPLETE"
    assert events(deployer) == [["Delete", "thing-2", "2"]]


def test_custom_resource_fails_its_stack(deployer: Deployer) -> None:
    stack = deployer.create("refused", maker(1, Refuse="Create"))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "received response status [FAILED]: I would rather not" in stack["StackStatusReason"]
    deployer.delete("refused")


def test_custom_resource_without_a_response(deployer: Deployer) -> None:
    stack = deployer.create("silent", maker(1, Silent=True))
    assert "the function sent no response" in stack["StackStatusReason"]
    deployer.delete("silent")


def test_role_must_trust_lambda(deployer: Deployer) -> None:
    wrong = role()
    wrong["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = {"Service": "ec2.amazonaws.com"}
    resources = {**maker(1), "Role": wrong}
    assert "does not let lambda.amazonaws.com assume it" in deployer.create("trust", resources)["StackStatusReason"]
    deployer.delete("trust")
