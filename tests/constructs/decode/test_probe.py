"""The probe: a function in the gateway's subnets that may read one secret."""

from __future__ import annotations

from aws_cdk.assertions import Match

from runtime.functions import decode_probe
from runtime.handoff import settings
from tests.templates import only, resources, stack, statements, templates


def test_the_handler_is_the_functions_own() -> None:
    function = only(templates()["decode"], "AWS::Lambda::Function")
    module, name = function["Handler"].rsplit(".", 1)
    assert module == decode_probe.__name__
    assert callable(getattr(decode_probe, name))
    assert function["Timeout"] == 90


def test_it_is_told_the_endpoint_the_model_and_the_secret() -> None:
    decode = templates("openai")["decode"]
    [secret] = resources(decode, "AWS::SecretsManager::Secret")
    assert only(decode, "AWS::Lambda::Function")["Environment"]["Variables"] == {
        settings.DEPLOYMENT: "small",
        settings.DECODE_ENDPOINTS: "https://api.example.com",
        settings.DECODE_MODEL: "theirs",
        settings.DECODE_SECRET_ARN: {"Ref": secret},
    }


def test_it_asks_every_endpoint_and_may_reach_each_port() -> None:
    decode = templates(decode__more_endpoints=["https://b.example.com:8443"])["decode"]
    variables = only(decode, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables[settings.DECODE_ENDPOINTS] == "https://cs3.example.com,https://b.example.com:8443"
    group = next(each for each in resources(decode, "AWS::EC2::SecurityGroup").values())
    assert [rule["FromPort"] for rule in group["SecurityGroupEgress"]] == [443, 8443]


def test_it_may_read_that_secret_alone() -> None:
    decode = templates()["decode"]
    [statement] = statements(decode, "ProbeRole")
    assert statement["Resource"] == decode["Outputs"][settings.DECODE_SECRET_OUTPUT]["Value"]
    assert "secretsmanager:GetSecretValue" in statement["Action"]


def test_it_runs_every_five_minutes_in_private_subnets_and_is_not_repeated() -> None:
    decode = stack("decode")
    decode.has_resource_properties(
        "AWS::Events::Rule",
        {
            "ScheduleExpression": "rate(5 minutes)",
            "Targets": [Match.object_like({"RetryPolicy": {"MaximumRetryAttempts": 0}})],
        },
    )
    [function] = resources(templates()["decode"], "AWS::Lambda::Function").values()
    assert all("PrivateSubnet" in s["Fn::ImportValue"] for s in function["VpcConfig"]["SubnetIds"])


def test_workers_of_our_own_need_no_probe() -> None:
    functions = resources(templates("vllm")["decode"], "AWS::Lambda::Function").values()
    assert [function["Handler"] for function in functions] == ["runtime.functions.rotation.handler"]
