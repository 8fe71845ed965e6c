"""Intrinsic functions resolve, and what resolves to nothing is an error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from moto.cloudformation.exceptions import ExportNotFound, ValidationError

from tandem.rehearsal.cloud.template import dependencies, imports, resolve


class Scope(dict[str, Any]):
    """A stack's names, with one resource that has one attribute."""

    lazy_condition_map: ClassVar = {"Yes": True, "No": False}
    exports: ClassVar = {"net": SimpleNamespace(name="net", value="vpc-1")}

    def availability_zones(self, region: str) -> list[str]:
        """Return two zones."""
        return [f"{region}a", f"{region}b"]


class Thing:
    """A deployed resource."""

    physical_resource_id = "thing-1"

    def get_cfn_attribute(self, name: str) -> str | None:
        """Return its only attribute."""
        return {"Arn": "arn:thing"}.get(name)


SCOPE = Scope(
    {
        "Thing": Thing(),
        "AWS::Region": "us-east-2",
        "AWS::NoValue": None,
        "Map": {"us-east-2": {"size": "big"}},
        "Size": 3,
    }
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Thing"}, "thing-1"),
        ({"Fn::GetAtt": ["Thing", "Arn"]}, "arn:thing"),
        ({"Fn::GetAtt": "Thing.Arn"}, "arn:thing"),
        ({"Fn::Sub": "${Thing}/${Thing.Arn}/${!kept}/${AWS::Region}"}, "thing-1/arn:thing/${kept}/us-east-2"),
        ({"Fn::Sub": ["${a}-${Thing}", {"a": {"Ref": "Size"}}]}, "3-thing-1"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Size"}]]}, "a-3"),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::FindInMap": ["Map", {"Ref": "AWS::Region"}, "size"]}, "big"),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::Not": [{"Fn::Equals": [{"Ref": "Size"}, "3"]}]}, False),
        ({"Fn::And": [{"Condition": "Yes"}, {"Fn::Or": [{"Condition": "No"}, {"Condition": "Yes"}]}]}, True),
        ({"Fn::ImportValue": "net"}, "vpc-1"),
        ({"Fn::GetAZs": ""}, ["us-east-2a", "us-east-2b"]),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Base64": "a"}, "YQ=="),
        (
            {"kept": 1, "gone": {"Ref": "AWS::NoValue"}, "also": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}},
            {"kept": 1},
        ),
        ([1, {"Ref": "AWS::NoValue"}], [1]),
    ],
)
def test_functions(value: Any, expected: Any) -> None:
    assert resolve(value, SCOPE) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"Ref": "Nobody"}, "Ref to Nobody"),
        ({"Fn::GetAtt": ["Nobody", "Arn"]}, "Nobody"),
        ({"Fn::GetAtt": ["Thing", "Colour"]}, "Thing.Colour resolves to nothing"),
        ({"Fn::Select": [2, ["a"]]}, "has no item 2: its list has 1"),
        ({"Fn::FindInMap": ["Map", "mars", "size"]}, "finds nothing"),
        ({"Fn::Transform": {}}, "unknown intrinsic function Fn::Transform"),
    ],
)
def test_nothing_is_an_error(value: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        resolve(value, SCOPE)


def test_missing_export() -> None:
    with pytest.raises(ExportNotFound):
        resolve({"Fn::ImportValue": "other"}, SCOPE)


def test_dependencies_and_imports() -> None:
    body = {"DependsOn": "A", "P": [{"Ref": "B"}, {"Fn::GetAtt": "C.Arn"}, {"Fn::Sub": "${D.Arn}${!E}${F}"}]}
    assert sorted(dependencies(body)) == ["A", "B", "C", "D", "F"]
    assert list(imports({"a": [{"Fn::ImportValue": {"Fn::Sub": "n${Size}"}}]}, SCOPE)) == ["n3"]
