"""References into what moves are told from those into what stays."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.changes.references import follow, imports, is_intrinsic

MOVED = {"Vpc", "Template.LatestVersionNumber", "import:net:Vpc"}


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Vpc"},
        {"Fn::GetAtt": ["Vpc", "CidrBlock"]},
        {"Fn::GetAtt": "Vpc.CidrBlock"},
        {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
        {"Fn::ImportValue": "net:Vpc"},
        {"Fn::Sub": "arn:${Vpc}"},
        {"Fn::Sub": ["${A}-${Vpc.Arn}", {"A": "b"}]},
        {"Fn::Sub": ["${A}", {"A": {"Ref": "Vpc"}}]},
        {"Fn::Join": ["", ["a", {"Ref": "Vpc"}]]},
        [{"Deep": [{"Ref": "Vpc"}]}],
    ],
)
def test_what_moves_no_longer_equals_itself(value: Any) -> None:
    assert follow(value, MOVED) != value
    assert follow(value, set()) == value


@pytest.mark.parametrize(
    "value",
    [
        "Vpc",
        {"Ref": "VpcOther"},
        {"Fn::GetAtt": ["Template", "LaunchTemplateId"]},
        {"Ref": "Template"},
        {"Fn::ImportValue": "Vpc"},
        {"Fn::Sub": "Vpc ${!Vpc}"},
        {"Name": "Vpc", "Ref": 1},
    ],
)
def test_what_stays_equals_itself(value: Any) -> None:
    assert follow(value, MOVED) == value


def test_imports_are_found_wherever_they_stand() -> None:
    value = {"A": [{"Fn::ImportValue": "x"}], "B": {"Fn::Join": ["", [{"Fn::ImportValue": "y"}]]}}
    assert sorted(imports(value)) == ["x", "y"]


def test_an_intrinsic_function_is_told_from_a_mapping() -> None:
    assert is_intrinsic({"Ref": "A"})
    assert is_intrinsic({"Fn::GetAtt": ["A", "B"]})
    assert not is_intrinsic({"Ref": "A", "B": 1})
    assert not is_intrinsic({"AutoScalingGroupArn": "a"})
    assert not is_intrinsic({})
