"""A region without the Neuron AMI is found."""

from __future__ import annotations

from pathlib import Path

from tandem.doctor.checks import host_image
from tandem.doctor.result import Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge

SNAPSHOT = Path(__file__).parents[3] / "snapshots" / "rehearsal.json"


def test_the_region_has_an_image() -> None:
    result = judge("host-image", deployment())
    assert result.verdict is Verdict.PASS
    assert result.found.startswith("ami-")


def test_a_region_without_the_parameter_fails() -> None:
    result = judge("host-image", deployment(), ssm=answering("ssm", ("get_parameter", "ParameterNotFound")))
    assert result.verdict is Verdict.FAIL


def test_no_hosts_need_no_image() -> None:
    assert judge("host-image", deployment("openai"), ssm=answering("ssm")).verdict is Verdict.PASS


def test_the_parameter_is_the_templates() -> None:
    assert f'"{host_image._PARAMETER}"' in SNAPSHOT.read_text()
