"""Every check file is registered, documented, and survives an account that allows nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tandem.doctor.checks
from tandem.doctor.aws import Aws
from tandem.doctor.examine import examine
from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import CHECKS, REGION, answering, refusing

ROOT = Path(__file__).parents[4]
FILES = {path.stem.replace("_", "-") for path in Path(tandem.doctor.checks.__file__).parent.glob("[a-z]*.py")}
ROW = re.compile(r"^\| `([a-z-]+)` \|", re.MULTILINE)
ECR = "123456789012.dkr.ecr.us-east-2.amazonaws.com/vllm:1"


def test_every_file_is_registered_under_its_name() -> None:
    assert CHECKS.keys() == FILES
    assert all(check.__module__.endswith("." + name.replace("-", "_")) for name, check in CHECKS.items())


def test_the_document_lists_exactly_the_checks_in_order() -> None:
    assert ROW.findall((ROOT / "docs" / "doctor.md").read_text()) == list(CHECKS)


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - {"clock", "decode-endpoint"}))
def test_a_check_that_is_denied_names_the_call(name: str) -> None:
    """Of the two others one reads the clock off a refusal, the other needs no AWS; they have tests of their own."""
    gateway = {"certificate_arn": "arn:aws:acm:us-east-2:123456789012:certificate/6f0c2f6e", "domain": "a.example.com"}
    wanted = deployment(
        prefill__image=ECR,
        prefill__groups__0__capacity={"mode": "reservation", "target": "cr-0123456789abcdef0", "zone": "us-east-2b"},
        model__weights="s3://weights/llama",
        gateway=gateway,
        registration={"registrar": "agentcore-gateway"},
    )
    result = examine(wanted, lambda: Aws(REGION, refusing), {name: CHECKS[name]})[name]
    assert result.verdict is Verdict.UNKNOWN
    assert re.fullmatch(r"AccessDeniedException for [A-Z]\w+: not you", result.found)
    assert re.fullmatch(r"have [A-Z]\w+ allowed for these credentials", result.change)


def test_a_stub_that_is_asked_something_else_is_no_verdict() -> None:
    """The tests of verdicts rest on this: a stubbed client that was asked something else never passes or fails."""
    aws = Aws(
        REGION,
        lambda service, _: answering(service, ("get_caller_identity", {})) if service == "sts" else answering(service),
    )
    results = examine(deployment(), lambda: aws, {name: CHECKS[name] for name in ("vcpu-quota", "cidr", "host-image")})
    assert {result.verdict for result in results.values()} == {Verdict.UNKNOWN}
