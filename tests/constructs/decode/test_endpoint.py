"""A decode endpoint elsewhere: its keys, and the private way to it."""

from __future__ import annotations

import json

import pytest

from runtime.handoff import settings
from tests.templates import only, resources, stack, templates

_SERVICE = "com.amazonaws.vpce.us-east-2.vpce-svc-0123abcd"


@pytest.mark.parametrize("provider", ["cs3", "openai"])
def test_the_secret_has_both_fields_from_the_start(provider: str) -> None:
    secret = only(templates(provider)["decode"], "AWS::SecretsManager::Secret")
    generated = secret["GenerateSecretString"]
    assert json.loads(generated["SecretStringTemplate"]) == {settings.API_KEY_FIELD: "to-be-replaced"}
    assert generated["GenerateStringKey"] == settings.TICKET_KEY_FIELD
    outputs = templates(provider)["decode"]["Outputs"]
    assert any(key.startswith("EndpointSecretArn") for key in outputs)


def test_without_a_service_there_is_no_private_link() -> None:
    stack("decode").resource_count_is("AWS::EC2::VPCEndpoint", 0)


@pytest.mark.parametrize(("suffix", "port"), [("", 443), (":8443", 8443)])
def test_a_service_is_linked_for_the_vpc_under_the_endpoints_name(suffix: str, port: int) -> None:
    changes = {"decode__endpoint_service": _SERVICE, "decode__endpoint": f"https://cs3.example.com{suffix}"}
    decode = templates("cs3", **changes)["decode"]
    link = only(decode, "AWS::EC2::VPCEndpoint")
    assert (link["ServiceName"], link["VpcEndpointType"], link["PrivateDnsEnabled"]) == (_SERVICE, "Interface", True)
    [group] = [key for key in resources(decode, "AWS::EC2::SecurityGroup") if "LinkGroup" in key]
    assert link["SecurityGroupIds"] == [{"Fn::GetAtt": [group, "GroupId"]}]
    [rule] = resources(decode, "AWS::EC2::SecurityGroup")[group]["SecurityGroupIngress"]
    assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("10.40.0.0/16", port, port)
