"""The AgentCore registration: what AWS's own service model accepts, wired to the load balancer."""

from __future__ import annotations

from typing import Any

import botocore.loaders
import botocore.model
import pytest
from botocore.validate import ParamValidator

from tests.documents import CERTIFICATE
from tests.templates import only, resources, statements, templates

_CHANGES = {
    "registration__registrar": "agentcore-gateway",
    "gateway__certificate_arn": CERTIFICATE,
    "gateway__domain": "llm.example.com",
}
_KIND = "AWS::BedrockAgentCore"


@pytest.fixture(scope="module")
def registration() -> dict[str, Any]:
    return templates("cs3", **_CHANGES)["registration"]


@pytest.fixture(scope="module")
def service() -> botocore.model.ServiceModel:
    description = botocore.loaders.Loader().load_service_model("bedrock-agentcore-control", "service-2")
    return botocore.model.ServiceModel(description)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("CreateGateway", "Gateway"),
        ("CreateGatewayTarget", "GatewayTarget"),
        ("CreateApiKeyCredentialProvider", "ApiKeyCredentialProvider"),
    ],
)
def test_the_api_accepts_what_is_deployed(
    registration: dict[str, Any], service: botocore.model.ServiceModel, operation: str, kind: str
) -> None:
    properties = only(registration, f"{_KIND}::{kind}")
    tagged = {key: value for key, value in properties.items() if key != "Tags"}  # CloudFormation's form of tags
    shape = service.operation_model(operation).input_shape
    report = ParamValidator().validate(_as_api(tagged), shape)
    assert not report.has_errors(), report.generate_report()


def test_the_api_refuses_a_misspelt_property(service: botocore.model.ServiceModel) -> None:
    shape = service.operation_model("CreateGatewayTarget").input_shape
    report = ParamValidator().validate({"gatewayIdentifier": "g", "targetConfig": {}}, shape)
    assert "targetConfig" in report.generate_report()


def _as_api(value: Any) -> Any:
    """Return CloudFormation properties as the API has them: lower first letters, a text for each reference."""
    if isinstance(value, list):
        return [_as_api(item) for item in value]
    if not isinstance(value, dict):
        return value
    if any(key == "Ref" or key.startswith("Fn::") for key in value):
        return "deployed"
    return {key[0].lower() + key[1:]: _as_api(item) for key, item in value.items()}


def test_the_target_is_the_gateways_chat_route_for_this_model(registration: dict[str, Any]) -> None:
    provider = only(registration, f"{_KIND}::GatewayTarget")["TargetConfiguration"]["Inference"]["Provider"]
    assert provider["Endpoint"] == "https://llm.example.com"
    assert provider["Operations"] == [
        {
            "Path": "/v1/chat/completions",
            "ProviderPath": "/v1/chat/completions",
            "Models": [{"Model": "example/model"}],
        }
    ]


def test_clients_are_authorized_by_iam(registration: dict[str, Any]) -> None:
    gateway = only(registration, f"{_KIND}::Gateway")
    assert gateway["AuthorizerType"] == "AWS_IAM"
    [role] = [key for key in resources(registration, "AWS::IAM::Role") if "Role" in key]
    assert gateway["RoleArn"] == {"Fn::GetAtt": [role, "Arn"]}


def test_the_target_is_made_when_its_role_may_read_the_key(registration: dict[str, Any]) -> None:
    [target] = [b for b in registration["Resources"].values() if b["Type"] == f"{_KIND}::GatewayTarget"]
    [policy] = resources(registration, "AWS::IAM::Policy")
    assert policy in target["DependsOn"]
    reading = [s for s in statements(registration, "Role") if "secretsmanager:GetSecretValue" in s["Action"]]
    assert ["AgentCoreKey" in s["Resource"]["Fn::ImportValue"] for s in reading] == [True]


def test_the_load_balancer_is_reached_privately(registration: dict[str, Any]) -> None:
    vpc = only(registration, f"{_KIND}::GatewayTarget")["PrivateEndpoint"]["ManagedVpcResource"]
    assert len(vpc["SubnetIds"]) == 2
    assert "DNSName" in vpc["RoutingDomain"]["Fn::ImportValue"]
    [group] = resources(registration, "AWS::EC2::SecurityGroup")
    assert vpc["SecurityGroupIds"] == [{"Fn::GetAtt": [group, "GroupId"]}]
    [rule] = resources(registration, "AWS::EC2::SecurityGroupIngress").values()
    assert rule["SourceSecurityGroupId"] == {"Fn::GetAtt": [group, "GroupId"]}
    assert (rule["FromPort"], rule["ToPort"]) == (443, 443)


def test_without_a_registrar_there_is_no_stack() -> None:
    assert "registration" not in templates()
