"""A certificate that is missing, not issued or for another name is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tandem.doctor.result import Result, Verdict
from tandem.rehearsal.cloud import preconditions
from tests.documents import deployment
from tests.tandem.doctor.accounts import ACCOUNT, answering, judge

ARN = f"arn:aws:acm:us-east-2:{ACCOUNT}:certificate/6f0c2f6e-9a0b-4f6b-8c3d-2b7d1f3f0a11"


def judged(domain: str = "llm.example.com", **stubbed: Any) -> Result:
    return judge("certificate", deployment(gateway={"certificate_arn": ARN, "domain": domain}), **stubbed)


def described(**changes: Any) -> Mapping[str, Any]:
    """Stub ACM with one certificate."""
    certificate = {"Status": "ISSUED", "DomainName": "llm.example.com", **changes}
    return {"acm": answering("acm", ("describe_certificate", {"Certificate": certificate}))}


def test_an_issued_certificate_for_the_domain_passes() -> None:
    preconditions.certificate(ARN, "llm.example.com")
    result = judged()
    assert (result.verdict, result.found) == (Verdict.PASS, "issued for llm.example.com")


def test_a_certificate_that_is_not_there_fails() -> None:
    result = judged()
    assert result.verdict is Verdict.FAIL
    assert result.found == f"{ARN} is not in us-east-2"


def test_one_that_waits_for_validation_fails() -> None:
    result = judged(**described(Status="PENDING_VALIDATION"))
    assert (result.verdict, result.found) == (Verdict.FAIL, "the certificate is PENDING_VALIDATION")


@pytest.mark.parametrize(
    ("names", "domain", "verdict"),
    [
        (["*.example.com"], "llm.example.com", "PASS"),
        (["other.example.com", "LLM.example.com"], "llm.example.com", "PASS"),
        (["*.example.com"], "a.llm.example.com", "FAIL"),
        (["*.example.com"], "example.com", "FAIL"),
        (["other.example.com"], "llm.example.com", "FAIL"),
    ],
)
def test_the_names_must_cover_the_domain(names: list[str], domain: str, verdict: str) -> None:
    stubbed = described(DomainName=names[0], SubjectAlternativeNames=names)
    assert judged(domain, **stubbed).verdict == verdict


def test_plain_http_asks_for_none() -> None:
    assert judge("certificate", deployment()).verdict is Verdict.PASS
