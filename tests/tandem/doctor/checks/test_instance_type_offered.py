"""A zone without the instance type is found, and the zones that have it are named."""

from __future__ import annotations

from typing import Any

from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import judge


def test_an_offered_type_passes() -> None:
    result = judge("instance-type-offered", deployment("vllm"))
    assert (result.verdict, result.found) == (Verdict.PASS, "trn2.48xlarge in us-east-2b")


def test_another_zone_of_the_region_is_named() -> None:
    kind: dict[str, Any] = {
        "prefill__groups__0__instance_type": "trn1.32xlarge",
        "prefill__groups__0__tensor_parallel": 32,
    }
    result = judge("instance-type-offered", deployment(network__efa_zone="us-east-2b", **kind))
    assert result.verdict is Verdict.FAIL
    assert result.found == "not offered in us-east-2b: offered are trn1.32xlarge in us-east-2c"


def test_a_region_without_the_type_fails() -> None:
    kind: dict[str, Any] = {
        "prefill__groups__0__instance_type": "trn2.3xlarge",
        "prefill__groups__0__tensor_parallel": 4,
    }
    result = judge("instance-type-offered", deployment(**kind))
    assert result.verdict is Verdict.FAIL
    assert "trn2.3xlarge in no zone of the region" in result.found


def test_no_hosts_need_no_offer() -> None:
    assert judge("instance-type-offered", deployment("openai")).verdict is Verdict.PASS
