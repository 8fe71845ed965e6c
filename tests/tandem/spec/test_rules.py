"""Every rule finds what it is for, in the right place, and nothing in a valid file."""

from __future__ import annotations

import pytest

from tandem.spec.findings import Severity, has_errors
from tandem.spec.rules import RULES
from tests.documents import ABSENT, CERTIFICATE, deployment, read
from tests.tandem.spec.admission_cases import ADMISSION
from tests.tandem.spec.capacity_cases import CAPACITY
from tests.tandem.spec.cases import Case
from tests.tandem.spec.endpoints_cases import ENDPOINTS
from tests.tandem.spec.hosts_cases import HOSTS
from tests.tandem.spec.load_cases import LOAD
from tests.tandem.spec.registration_cases import REGISTRATION
from tests.tandem.spec.scaling_cases import SCALING
from tests.tandem.spec.start_cases import START

ERROR, WARNING = Severity.ERROR, Severity.WARNING
_GROUP = {"name": "trn2", "instance_type": "trn2.48xlarge", "count": 1, "tensor_parallel": 64}
_SERVICE = "com.amazonaws.vpce.us-east-2.vpce-svc-0123"


CASES = [
    *ADMISSION,
    *CAPACITY,
    *ENDPOINTS,
    *HOSTS,
    *START,
    Case(
        rule="zones_in_region",
        code="zone-outside-region",
        path="network.efa_zone",
        wrong={"network__efa_zone": "us-east-1a"},
    ),
    Case(
        rule="zones_in_region",
        code="zone-outside-region",
        path="network.load_balancer_zones.1",
        wrong={"network__load_balancer_zones": ["us-east-2a", "eu-west-1a"]},
    ),
    Case(
        rule="zones_distinct",
        code="zone-repeated",
        path="network.load_balancer_zones",
        wrong={"network__load_balancer_zones": ["us-east-2a", "us-east-2a"]},
    ),
    *(
        Case(
            rule="cidr_usable",
            code="cidr-unusable",
            path="network.cidr",
            wrong={"network__cidr": wrong},
            right={"network__cidr": right},
        )
        for wrong, right in [
            ("10.0.0.0/15", "10.0.0.0/16"),  # too large for a VPC
            ("10.0.0.0/21", "10.0.0.0/20"),  # too small for our subnets
            ("10.0.0.1/16", "192.168.0.0/16"),  # host bits
            ("8.8.0.0/16", "172.16.0.0/16"),  # somebody else's
            ("999.0.0.0/16", "10.9.0.0/16"),
        ]
    ),
    *(
        Case(
            rule="peer_cidr_usable",
            code="peer-cidr-unusable",
            path="decode.peer_cidr",
            wrong={"decode__peer_cidr": wrong},
            right={"decode__peer_cidr": right},
        )
        for wrong, right in [("0.0.0.0/0", "10.0.0.0/8"), ("10.80.0.1/16", "10.80.0.1/32")]
    ),
    Case(
        rule="addresses_suffice",
        code="addresses-exhausted",
        path="network.cidr",
        wrong={"network__cidr": "10.0.0.0/20", "prefill__groups__0__count": 128},
        right={"network__cidr": "10.0.0.0/20", "prefill__groups__0__count": 127},
    ),
    Case(
        rule="addresses_suffice",
        code="addresses-exhausted",
        path="network.cidr",
        wrong={"network__cidr": "10.0.0.0/20", "prefill__groups__0__max_count": 128},
        right={"network__cidr": "10.0.0.0/20", "prefill__groups__0__max_count": 127},
    ),
    Case(
        rule="endpoint_service_in_region",
        code="endpoint-service-elsewhere",
        path="decode.endpoint_service",
        wrong={"decode__endpoint_service": _SERVICE.replace("us-east-2", "us-west-2")},
        right={"decode__endpoint_service": _SERVICE},
    ),
    Case(
        rule="instance_types_known",
        code="instance-type-unknown",
        path="prefill.groups.0.instance_type",
        wrong={"prefill__groups__0__instance_type": "p5.48xlarge"},
    ),
    Case(
        rule="efa_supported",
        code="efa-unsupported",
        path="prefill.groups.0.instance_type",
        wrong={"prefill__groups__0__instance_type": "trn1.2xlarge", "prefill__groups__0__tensor_parallel": 2},
        right={"prefill__groups__0__instance_type": "trn1.32xlarge", "prefill__groups__0__tensor_parallel": 2},
    ),
    Case(
        rule="efa_supported",
        code="efa-interfaces-exceeded",
        path="prefill.groups.0.efa_interfaces",
        wrong={"prefill__groups__0__efa_interfaces": 17},
        right={"prefill__groups__0__efa_interfaces": 16},
    ),
    Case(
        rule="efa_device_without_nic",
        code="efa-device-without-interface",
        path="prefill.groups.0",
        wrong={"prefill__groups__0__efa_interfaces": 8},
        right={"prefill__groups__0__efa_interfaces": 16},
        severity=WARNING,
    ),
    Case(
        rule="efa_device_without_nic",
        code="efa-device-without-interface",
        path="prefill.groups.0",
        wrong={"prefill__groups__0__instance_type": "trn2.3xlarge", "prefill__groups__0__tensor_parallel": 4},
        severity=WARNING,
    ),
    Case(
        rule="tensor_parallel_fits",
        code="tensor-parallel-exceeds-cores",
        path="prefill.groups.0.tensor_parallel",
        wrong={"prefill__groups__0__tensor_parallel": 65},
        right={"prefill__groups__0__tensor_parallel": 64},
    ),
    Case(
        rule="gateway_ports_distinct",
        code="gateway-port-repeated",
        path="gateway.metrics_port",
        wrong={"gateway__metrics_port": 8080},
        right={"gateway__metrics_port": 8081},
    ),
    Case(
        rule="group_names_unique",
        code="group-name-repeated",
        path="prefill.groups",
        wrong={"prefill__groups": [_GROUP, _GROUP]},
        right={"prefill__groups": [_GROUP, {**_GROUP, "name": "other"}]},
    ),
    Case(
        rule="ports_distinct",
        code="port-repeated",
        path="decode.side_channel_port",
        provider="vllm",
        wrong={"decode__side_channel_port": 8200},
        right={"decode__side_channel_port": 8100},  # prefill's port, but on another host
    ),
    Case(
        rule="ports_distinct",
        code="port-repeated",
        path="prefill.status_port",
        wrong={"prefill__status_port": 5559},
        right={"prefill__status_port": 8200},
    ),
    Case(
        rule="block_size_divides",
        code="block-size-uneven",
        path="prefill.block_size",
        wrong={"prefill__block_size": 48},
        right={"prefill__block_size": 64},
    ),
    Case(
        rule="block_sizes_equal",
        code="block-size-differs",
        path="decode.block_size",
        provider="vllm",
        wrong={"decode__block_size": 64},
        right={"decode__block_size": 64, "prefill__block_size": 64},
    ),
    Case(
        rule="connector_suits_model",
        code="connector-without-windows",
        path="model.kv_connector",
        wrong={"model__id": "openai/gpt-oss-120b"},
        right={"model__id": "openai/gpt-oss-120b", "model__kv_connector": "NeuronNixlConnector"},
        severity=WARNING,
    ),
    Case(rule="prefill_present", code="prefill-missing", path="prefill", wrong={"prefill": ABSENT}),
    Case(
        rule="prefill_present",
        code="prefill-unused",
        path="prefill",
        provider="openai",
        wrong={"prefill": {"groups": [_GROUP]}},
    ),
    Case(
        rule="certificate_in_region",
        code="certificate-elsewhere",
        path="gateway.certificate_arn",
        wrong={"gateway__certificate_arn": CERTIFICATE.replace("us-east-2", "us-east-1")},
        right={"gateway__certificate_arn": CERTIFICATE},
    ),
    Case(
        rule="certificate_in_region",
        code="certificate-elsewhere",
        path="gateway.certificate_arn",
        wrong={"gateway__certificate_arn": CERTIFICATE, "account": "444455556666"},
        right={"gateway__certificate_arn": CERTIFICATE, "account": "111122223333"},
    ),
    Case(
        rule="plain_http_known",
        code="plain-http",
        path="gateway.certificate_arn",
        wrong={},
        right={"gateway__certificate_arn": CERTIFICATE},
        severity=WARNING,
    ),
    *(
        Case(
            rule="memory_fits_cpu",
            code="gateway-memory-unavailable",
            path="gateway.memory_mib",
            wrong={"gateway__cpu": cpu, "gateway__memory_mib": wrong},
            right={"gateway__cpu": cpu, "gateway__memory_mib": right},
        )
        # the first, 1.5 GB for a quarter of a CPU, lies inside the range but is not sold
        for cpu, wrong, right in [(256, 1536, 2048), (512, 512, 1024), (1024, 9216, 8192), (4096, 4096, 8192)]
    ),
    *(
        Case(
            rule="alarm_topic_in_region",
            code="alarm-topic-elsewhere",
            path="observability.alarm_topic_arn",
            wrong={"observability__alarm_topic_arn": f"arn:aws:sns:{wrong}:111122223333:on-call"},
            right={"observability__alarm_topic_arn": "arn:aws:sns:us-east-2:111122223333:on-call"},
        )
        for wrong in ("us-east-1", "us-west-2")
    ),
    *REGISTRATION,
    *LOAD,
    *SCALING,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.path}")
def test_a_fault_is_found(case: Case) -> None:
    _, findings = read(case.provider, **case.wrong)
    [found] = [finding for finding in findings if (finding.code, finding.path) == (case.code, case.path)]
    assert found.severity is case.severity
    assert all((found.got, found.allowed, found.change))
    assert found.as_dict()["severity"] == str(case.severity)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.path}")
def test_the_nearest_file_without_the_fault_passes(case: Case) -> None:
    _, findings = read(case.provider, **case.right)
    assert case.code not in [finding.code for finding in findings if case.right or finding.code != "plain-http"]
    assert not has_errors(findings), findings


def test_every_rule_is_wired_in_and_has_a_case() -> None:
    seen = {rule.__name__: set[str]() for rule in RULES}
    for case in CASES:
        for rule in RULES:
            seen[rule.__name__] |= {found.code for found in rule(deployment(case.provider, **case.wrong))}
    expected: dict[str, set[str]] = {}
    for case in CASES:
        expected.setdefault(case.rule, set()).add(case.code)
    assert seen == expected


def test_errors_come_first() -> None:
    _, findings = read(prefill__groups__0__tensor_parallel=65, prefill__groups__0__efa_interfaces=8)
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, key=list(Severity).index)
    assert {ERROR, WARNING} == set(severities)
