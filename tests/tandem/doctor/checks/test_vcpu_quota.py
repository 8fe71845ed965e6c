"""A quota below what the file asks for is found; moto knows no EC2 quota, so the API's model checks the answers."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge

ON_DEMAND, SPOT = "Running On-Demand Trn instances", "All Trn Spot Instance Requests"


def quotas(**values: float) -> Any:
    """Return a client that lists quotas by name over two pages, among others."""
    listed = {"Running On-Demand Standard instances": 9999.0, **values}
    entries = [{"QuotaCode": "L-1", "QuotaName": name, "Value": value} for name, value in listed.items()]
    pages: list[dict[str, Any]] = [{"Quotas": entries[:1], "NextToken": "more"}, {"Quotas": entries[1:]}]
    return answering("service-quotas", *(("list_service_quotas", page) for page in pages))


def trn(value: float) -> Any:
    return quotas(**{ON_DEMAND: value})


@pytest.mark.parametrize(("value", "verdict"), [(383.0, "FAIL"), (384.0, "PASS")])
def test_both_stages_count(value: float, verdict: str) -> None:
    result = judge("vcpu-quota", deployment("vllm"), service_quotas=trn(value))
    assert result.verdict == verdict
    assert result.found == f"{ON_DEMAND}: {value:.0f} vCPUs allowed, 384 asked for"


def test_what_to_request_is_said() -> None:
    result = judge("vcpu-quota", deployment(), service_quotas=trn(0))
    assert result.change == f"request an increase of {ON_DEMAND} (ec2) in us-east-2, or ask for less"


@pytest.mark.parametrize(("spot", "verdict"), [(191.0, "FAIL"), (192.0, "PASS")])
def test_spot_has_a_quota_of_its_own(spot: float, verdict: str) -> None:
    wanted = deployment(prefill__groups__0__capacity={"mode": "spot"})
    result = judge("vcpu-quota", wanted, service_quotas=quotas(**{ON_DEMAND: 0.0, SPOT: spot}))
    assert (result.verdict, result.found) == (verdict, f"{SPOT}: {spot:.0f} vCPUs allowed, 192 asked for")


def test_a_quota_that_is_not_listed_is_unknown() -> None:
    result = judge("vcpu-quota", deployment(), service_quotas=quotas())
    assert (result.verdict, result.found) == (Verdict.UNKNOWN, f"no ec2 quota is named {ON_DEMAND}")


def test_an_account_without_quotas_is_unknown() -> None:
    assert judge("vcpu-quota", deployment()).verdict is Verdict.UNKNOWN


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
    result = judge("vcpu-quota", wanted, service_quotas=trn(value))
    assert result.verdict == verdict
    assert result.found.startswith(f"{ON_DEMAND}: {value:.0f} vCPUs allowed, 192 asked for and 192 in Capacity Blocks")


def test_reservations_count() -> None:
    capacity = {"mode": "reservation", "target": "cr-0123456789abcdef0", "zone": "us-east-2b"}
    wanted = deployment(prefill__groups__0__capacity=capacity)
    assert judge("vcpu-quota", wanted, service_quotas=trn(191)).verdict is Verdict.FAIL


def test_every_family_has_its_own_quota() -> None:
    facts = {"vcpus": 8, "memory_gib": 8, "neuron_devices": 1, "logical_cores": 64, "hbm_gib_per_device": 8}
    facts |= {"network_cards": 1, "interfaces_per_card": 1, "efa_interfaces": 1, "nitro": True}
    group: dict[str, Any] = {
        "prefill__groups__0__instance_type": "inf9.48xlarge",
        "prefill__groups__0__instance_facts": facts,
    }
    inferentia = quotas(**{ON_DEMAND: 0.0, "Running On-Demand Inf instances": 8.0})
    result = judge("vcpu-quota", deployment(**group), service_quotas=inferentia)
    assert (result.verdict, result.found) == (
        Verdict.PASS,
        "Running On-Demand Inf instances: 8 vCPUs allowed, 8 asked for",
    )


def test_no_hosts_need_no_quota() -> None:
    assert judge("vcpu-quota", deployment("openai")).verdict is Verdict.PASS
