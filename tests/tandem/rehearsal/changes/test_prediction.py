"""What diff foretold is held against what was done, resource by resource."""

from __future__ import annotations

import pytest

from tandem.changes.consequence import Consequence
from tandem.rehearsal.changes.prediction import _ACTIONS, differences

KEY = ("small-gateway", "Thing")
SERVICE, TASK = "AWS::ECS::Service", "AWS::ECS::TaskDefinition"


def row(consequence: str, kind: str = SERVICE) -> dict[str, str]:
    return {"stack": KEY[0], "logical_id": KEY[1], "consequence": consequence, "type": kind}


def found(consequence: str, action: str | None, *, kind: str = SERVICE, new: str = "same") -> list[str]:
    done = {KEY: action} if action else {}
    return differences([row(consequence, kind)], done, {KEY: "same"}, {KEY: new})


@pytest.mark.parametrize(
    ("consequence", "action"),
    [
        ("rolling", "UPDATE"),
        ("in place", "UPDATE"),
        ("replacement", "UPDATE"),
        ("creation", "CREATE"),
        ("removal", "DELETE"),
        ("left behind", "DELETE_SKIPPED"),
        ("data at risk", "DELETE"),
    ],
)
def test_as_foretold(consequence: str, action: str) -> None:
    assert found(consequence, action) == []


@pytest.mark.parametrize(
    ("consequence", "action"),
    [("rolling", None), ("rolling", "CREATE"), ("creation", "UPDATE"), ("removal", "UPDATE"), ("removal", None)],
)
def test_something_else_than_foretold_is_named(consequence: str, action: str | None) -> None:
    assert found(consequence, action) == [f"small-gateway/Thing: foretold {consequence}, done {action or 'nothing'}"]


def test_what_nobody_foretold_is_named() -> None:
    assert differences([], {KEY: "UPDATE"}, {}, {}) == ["small-gateway/Thing: UPDATE was not foretold"]


@pytest.mark.parametrize("consequence", ["rolling", "in place"])
def test_what_should_stay_and_became_another_is_named(consequence: str) -> None:
    assert found(consequence, "UPDATE", new="other") == [
        f"small-gateway/Thing: foretold {consequence}, and became another: other"
    ]


def test_a_revision_and_a_replacement_become_another() -> None:
    assert found("rolling", "UPDATE", kind=TASK, new="other") == []
    assert found("replacement", "UPDATE", new="other") == []


def test_every_consequence_but_nothing_has_its_actions() -> None:
    assert set(_ACTIONS) == set(Consequence) - {Consequence.NOTHING}
