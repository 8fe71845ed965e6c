"""A decode endpoint elsewhere: its keys, and the private way to it."""

from __future__ import annotations

import json

import pytest

from runtime.handoff import settings
from tests.templates import only, resources, stack, templates

_SERVICE = "com.amazonaws.vpce.us-east-2.vpce-svc-0123abcd"


@pytest.mark.parametrize("provider", ["cs3", "openai"])
def test_the_key_is_for_the_operator_to_fill_in(provider: str) -> None:
    decode = templates(provider)["decode"]
    secret = decode["Outputs"][settings.DECODE_SECRET_OUTPUT]["Value"]["Ref"]
    value = resources(decode, "AWS::SecretsManager::Secret")[secret]["SecretString"]
    assert json.loads(value) == {settings.API_KEY_FIELD: "to-be-replaced"}


@pytest.mark.parametrize(("provider", "keys"), [("cs3", 1), ("openai", 0)])
def test_a_key_of_tickets_is_generated_where_kv_is_handed_over(provider: str, keys: int) -> None:
    secrets = resources(templates(provider)["decode"], "AWS::SecretsManager::Secret").values()
    assert len([secret for secret in secrets if "GenerateSecretString" in secret]) == keys
    assert ("TicketKeyArn" in templates(provider)["decode"]["Outputs"]) is bool(keys)


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
