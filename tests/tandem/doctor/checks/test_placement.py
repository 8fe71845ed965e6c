"""A host outside its placement group or zone is found."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import judge
from tests.tandem.doctor.fleet import instance, judged

ASKED = {"Placement": {"GroupName": "side-by-side"}}


@pytest.mark.parametrize(
    ("template", "group", "found"),
    [
        (ASKED, "side-by-side", "1 of 1 hosts in us-east-2b and side-by-side"),
        ({}, "", "1 of 1 hosts in us-east-2b and no placement group"),
    ],
)
def test_a_host_where_its_template_says_passes(template: dict[str, Any], group: str, found: str) -> None:
    result = judged("placement", template, instance(1, group=group))
    assert (result.verdict, result.found) == (Verdict.PASS, found)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, "i-2 is in placement group none, not in side-by-side"),
        ({"group": "other"}, "i-2 is in placement group other, not in side-by-side"),
        ({"group": "side-by-side", "zone": "us-east-2a"}, "i-2 is in us-east-2a, not in us-east-2b"),
    ],
)
def test_a_host_elsewhere_fails(where: dict[str, str], found: str) -> None:
    result = judged("placement", ASKED, instance(1, group="side-by-side"), instance(2, **where))
    assert (result.verdict, result.found) == (Verdict.FAIL, found)


def test_without_a_host_nobody_knows() -> None:
    assert judged("placement", ASKED).verdict is Verdict.UNKNOWN


def test_a_deployment_without_hosts_passes() -> None:
    assert judge("placement", deployment("openai")).verdict is Verdict.PASS
