"""A host without one of its EFA interfaces is found, in either published layout."""

from __future__ import annotations

import pytest

from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import judge
from tests.tandem.doctor.fleet import attached, instance, interface, judged

CLASSIC = [(0, 0, "efa"), (1, 1, "efa")]
SEPARATE = [(0, 0, "interface"), (0, 1, "efa-only"), (1, 0, "efa-only")]


@pytest.mark.parametrize("layout", [CLASSIC, SEPARATE])
def test_hosts_with_all_interfaces_pass(layout: list[tuple[int, int, str]]) -> None:
    template = {"NetworkInterfaces": [interface(*place) for place in layout]}
    hosts = [instance(number, *(attached(*place) for place in layout)) for number in range(2)]
    result = judged("efa-interfaces", template, *hosts)
    assert (result.verdict, result.found) == (Verdict.PASS, "2 of 2 hosts with 2 EFA interfaces each")


@pytest.mark.parametrize("lacking", [[], [attached(1, 1, "interface")], [attached(1, 1, status="detached")]])
def test_a_host_that_lacks_one_fails(lacking: list[dict[str, object]]) -> None:
    template = {"NetworkInterfaces": [interface(*place) for place in CLASSIC]}
    whole, broken = instance(1, *(attached(*place) for place in CLASSIC)), instance(2, attached(0, 0), *lacking)
    result = judged("efa-interfaces", template, whole, broken)
    assert (result.verdict, result.found) == (Verdict.FAIL, "i-2 lacks 1 of 2 EFA interfaces: card 1 device 1")


def test_a_template_without_efa_fails() -> None:
    result = judged("efa-interfaces", {}, instance(1, attached(0, 0, "interface")))
    assert (result.verdict, result.found) == (Verdict.FAIL, "the launch template of i-1 asks for no EFA interface")


def test_without_a_host_nobody_knows() -> None:
    result = judged("efa-interfaces", {})
    assert (result.verdict, result.found) == (Verdict.UNKNOWN, "no worker host is in service")


def test_a_deployment_without_hosts_passes() -> None:
    assert judge("efa-interfaces", deployment("openai")).verdict is Verdict.PASS
