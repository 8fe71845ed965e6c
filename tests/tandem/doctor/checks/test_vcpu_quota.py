"""A quota below what the file asks for is found; moto knows no EC2 quota, so the API's model checks the answers."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge


def quotas(value: float, name: str = "Running On-Demand Trn instances") -> Any:
    quota = {"QuotaCode": "L-2C3B7624", "QuotaName": name, "Value": value}
    return answering("service-quotas", ("get_service_quota", {"Quota": quota}))


@pytest.mark.parametrize(("value", "verdict"), [(383.0, "FAIL"), (384.0, "PASS")])
def test_both_stages_count(value: float, verdict: str) -> None:
    result = judge("vcpu-quota", deployment("vllm"), service_quotas=quotas(value))
    assert result.verdict == verdict
    assert result.found == f"{value:.0f} vCPUs allowed, 384 asked for"


def test_what_to_request_is_said() -> None:
    result = judge("vcpu-quota", deployment(), service_quotas=quotas(0))
    assert result.change == "request an increase of ec2 quota L-2C3B7624 in us-east-2, or ask for less"


def test_another_quota_under_the_code_is_not_believed() -> None:
    result = judge("vcpu-quota", deployment(), service_quotas=quotas(9999, "Running On-Demand Standard instances"))
    assert result.verdict is Verdict.UNKNOWN


def test_an_account_without_the_quota_is_unknown() -> None:
    result = judge("vcpu-quota", deployment())
    assert result.verdict is Verdict.UNKNOWN
    assert result.found.startswith("NoSuchResourceException for GetServiceQuota: ")


GROUP = {"name": "trn2", "instance_type": "trn2.48xlarge", "count": 1, "tensor_parallel": 64}
BLOCK = {
    "mode": "capacity-block",
    "reservation_id": "cr-0123456789abcdef0",
    "zone": "us-east-2b",
    "ends_at": "2027-01-31T11:30:00Z",
}


@pytest.mark.parametrize(
    ("value", "verdict"), [(191.0, "FAIL"), (192.0, "UNKNOWN"), (383.0, "UNKNOWN"), (384.0, "PASS")]
)
def test_capacity_blocks_may_count(value: float, verdict: str) -> None:
    wanted = deployment("vllm", decode__groups=[{**GROUP, "capacity": BLOCK}])
    result = judge("vcpu-quota", wanted, service_quotas=quotas(value))
    assert result.verdict == verdict
    assert result.found.startswith(f"{value:.0f} vCPUs allowed, 192 asked for and 192 in Capacity Blocks")


def test_reservations_count() -> None:
    capacity = {"mode": "reservation", "target": "cr-0123456789abcdef0", "zone": "us-east-2b"}
    wanted = deployment(prefill__groups__0__capacity=capacity)
    assert judge("vcpu-quota", wanted, service_quotas=quotas(191)).verdict is Verdict.FAIL


def test_a_type_of_another_family_is_unknown() -> None:
    facts = {"vcpus": 8, "memory_gib": 8, "neuron_devices": 1, "logical_cores": 64, "hbm_gib_per_device": 8}
    facts |= {"network_cards": 1, "interfaces_per_card": 1, "efa_interfaces": 1, "nitro": True}
    group: dict[str, Any] = {
        "prefill__groups__0__instance_type": "inf9.48xlarge",
        "prefill__groups__0__instance_facts": facts,
    }
    result = judge("vcpu-quota", deployment(**group))
    assert result.verdict is Verdict.UNKNOWN
    assert result.found == "prefill.groups.0: inf9.48xlarge is under another quota"


def test_no_hosts_need_no_quota() -> None:
    assert judge("vcpu-quota", deployment("openai")).verdict is Verdict.PASS
