"""The marketplace registrar: one endpoint, one handler that may touch that endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.functions import marketplace_endpoint
from tests.templates import only, resources, statements, templates

_ENDPOINT = "arn:aws:sagemaker:us-east-2:111122223333:endpoint/model"
_SOURCE = "arn:aws:sagemaker:us-east-2:aws:hub-content/SageMakerPublicHub/Model/llama/1.0.0"
_CHANGES = {
    "registration__registrar": "marketplace",
    "registration__endpoint_arn": _ENDPOINT,
    "registration__model_source": _SOURCE,
}


@pytest.fixture(scope="module")
def registration() -> dict[str, Any]:
    return templates("cs3", **_CHANGES)["registration"]


def test_the_resource_names_endpoint_and_model(registration: dict[str, Any]) -> None:
    resource = only(registration, "Custom::BedrockMarketplaceEndpoint")
    assert (resource["EndpointArn"], resource["ModelSource"]) == (_ENDPOINT, _SOURCE)
    function = only(registration, "AWS::Lambda::Function")
    assert function["Handler"] == f"{marketplace_endpoint.__name__}.handler"


def test_the_handler_touches_that_endpoint_alone(registration: dict[str, Any]) -> None:
    bedrock = [s for s in statements(registration, "HandlerRole") if "bedrock:" in str(s["Action"])]
    [statement] = bedrock
    assert statement["Resource"] == _ENDPOINT
    assert {action for action in statement["Action"] if action.startswith("bedrock:")} == {
        "bedrock:RegisterMarketplaceModelEndpoint",
        "bedrock:DeregisterMarketplaceModelEndpoint",
        "bedrock:GetMarketplaceModelEndpoint",
    }
    assert all(s["Resource"] != "*" for s in statements(registration, "HandlerRole"))


def test_nothing_of_sagemaker_is_made_or_changed(registration: dict[str, Any]) -> None:
    actions = [a for s in statements(registration, "HandlerRole") for a in s["Action"] if a.startswith("sagemaker:")]
    assert all(action.startswith(("sagemaker:Describe", "sagemaker:List")) for action in actions)
    assert not [body for body in registration["Resources"].values() if body["Type"].startswith("AWS::SageMaker")]


def test_no_network_or_load_balancer_is_needed(registration: dict[str, Any]) -> None:
    assert not resources(registration, "AWS::EC2::SecurityGroup")
