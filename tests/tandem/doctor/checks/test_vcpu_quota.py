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


def test_no_hosts_need_no_quota() -> None:
    assert judge("vcpu-quota", deployment("openai")).verdict is Verdict.PASS
