"""The load balancer: HTTPS with a certificate, HTTP without, clients of the VPC only."""

from __future__ import annotations

import pytest
from aws_cdk.assertions import Match

from tests.documents import CERTIFICATE
from tests.templates import only, resources, stack, templates

_SECURE = {"gateway__certificate_arn": CERTIFICATE, "gateway__domain": "llm.example.com"}


def test_with_a_certificate_clients_speak_https() -> None:
    gateway = stack("gateway", **_SECURE)
    gateway.resource_count_is("AWS::ElasticLoadBalancingV2::Listener", 1)
    gateway.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::Listener",
        {
            "Port": 443,
            "Protocol": "HTTPS",
            "Certificates": [{"CertificateArn": CERTIFICATE}],
            "SslPolicy": Match.string_like_regexp("TLS13-1-2"),
        },
    )
    outputs = templates(**_SECURE)["gateway"]["Outputs"]
    assert "https://llm.example.com" in [output["Value"] for output in outputs.values()]


def test_without_one_clients_speak_http() -> None:
    stack("gateway").has_resource_properties(
        "AWS::ElasticLoadBalancingV2::Listener",
        {"Port": 80, "Protocol": "HTTP", "Certificates": Match.absent(), "SslPolicy": Match.absent()},
    )


@pytest.mark.parametrize(("changes", "port"), [(_SECURE, 443), ({}, 80)])
def test_only_the_vpc_reaches_it(changes: dict[str, object], port: int) -> None:
    groups = resources(templates("cs3", **changes)["gateway"], "AWS::EC2::SecurityGroup")
    [group] = [body for key, body in groups.items() if "Ingress" in key]
    [rule] = group["SecurityGroupIngress"]
    assert (rule["CidrIp"], rule["FromPort"], rule["ToPort"]) == ("10.40.0.0/16", port, port)
    stack("gateway", "cs3", **changes).has_resource_properties(
        "AWS::ElasticLoadBalancingV2::LoadBalancer", {"Scheme": "internal"}
    )


def test_a_long_prefill_does_not_time_out_and_odd_headers_are_dropped() -> None:
    [balancer] = resources(templates()["gateway"], "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    attributes = {each["Key"]: each["Value"] for each in balancer["LoadBalancerAttributes"]}
    assert attributes["idle_timeout.timeout_seconds"] == "600"
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert attributes["access_logs.s3.enabled"] == "true"


def test_targets_are_checked_and_drained() -> None:
    stack("gateway").has_resource_properties(
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        {
            "HealthCheckPath": "/health",
            "TargetType": "ip",
            "Port": 8080,
            "TargetGroupAttributes": Match.array_with([{"Key": "deregistration_delay.timeout_seconds", "Value": "60"}]),
        },
    )


def test_the_load_balancer_may_write_its_logs() -> None:
    [policy] = [
        body for key, body in resources(templates()["storage"], "AWS::S3::BucketPolicy").items() if "AccessLogs" in key
    ]
    writers = [s["Principal"] for s in policy["PolicyDocument"]["Statement"] if s["Action"] == "s3:PutObject"]
    # us-east-2's Elastic Load Balancing account, and S3's own logging service
    assert any("033677994240" in str(writer) for writer in writers)
    assert {"Service": "logging.s3.amazonaws.com"} in writers


def test_tasks_are_reached_by_tls_whatever_the_client_speaks() -> None:
    for changes in ({}, _SECURE):
        group = only(templates(**changes)["gateway"], "AWS::ElasticLoadBalancingV2::TargetGroup")
        assert (group["Protocol"], group["HealthCheckProtocol"]) == ("HTTPS", "HTTPS")
