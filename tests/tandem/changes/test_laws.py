"""What holds for every resource of a real deployment, whatever is done to it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.changes.compare import compare
from tandem.changes.consequence import Consequence
from tandem.changes.schemas import schema
from tests.tandem.changes.deployments import REGION, consequences, stacks

RANK = {consequence: rank for rank, consequence in enumerate(Consequence)}
HARMLESS = {Consequence.NOTHING, Consequence.CREATION, Consequence.IN_PLACE}


@pytest.fixture(scope="module")
def places() -> list[tuple[str, str]]:
    return [
        (stack, key)
        for stack, template in stacks().items()
        for key, body in template["Resources"].items()
        if body["Type"] != "AWS::CDK::Metadata"
    ]


def _changed(stack: str, key: str, **attributes: Any) -> dict[str, Any]:
    """Return all templates with attributes of one resource replaced."""
    templates = stacks()
    body = {**templates[stack]["Resources"][key], **attributes}
    resources = {**templates[stack]["Resources"], key: body}
    return {**templates, stack: {**templates[stack], "Resources": resources}}


def _without(stack: str, key: str) -> dict[str, Any]:
    templates = stacks()
    resources = {name: body for name, body in templates[stack]["Resources"].items() if name != key}
    return {**templates, stack: {**templates[stack], "Resources": resources}}


def _consequence(old: dict[str, Any], new: dict[str, Any], stack: str, key: str) -> Consequence:
    [change] = [each for each in compare(old, new, REGION).changes if (each.stack, each.logical_id) == (stack, key)]
    return change.verdict.consequence


@settings(max_examples=25)
@given(data=st.data())
def test_metadata_and_dependencies_mean_nothing(places: list[tuple[str, str]], data: st.DataObject) -> None:
    stack, key = data.draw(st.sampled_from(places))
    new = _changed(stack, key, Metadata=data.draw(st.dictionaries(st.text(), st.text())), DependsOn=["Anything"])
    assert consequences(compare(stacks(), new, REGION)) == {Consequence.NOTHING}


@settings(max_examples=25)
@given(data=st.data())
def test_what_is_taken_out_is_worse_than_a_change_and_what_comes_back_is_made(
    places: list[tuple[str, str]], data: st.DataObject
) -> None:
    stack, key = data.draw(st.sampled_from(places))
    without = _without(stack, key)
    assert RANK[_consequence(stacks(), without, stack, key)] <= RANK[Consequence.REMOVAL]
    assert _consequence(without, stacks(), stack, key) is Consequence.CREATION


@settings(max_examples=40)
@given(data=st.data())
def test_a_fixed_property_that_differs_is_never_harmless(places: list[tuple[str, str]], data: st.DataObject) -> None:
    stack, key = data.draw(st.sampled_from(places))
    body = stacks()[stack]["Resources"][key]
    known = schema(body["Type"], REGION)
    fixed = [path[0] for path in known.create_only if len(path) == 1] if known else list(body.get("Properties", {}))
    if not fixed:
        return
    properties = {**body.get("Properties", {}), data.draw(st.sampled_from(fixed)): "something else"}
    assert _consequence(stacks(), _changed(stack, key, Properties=properties), stack, key) not in HARMLESS


@settings(max_examples=10)
@given(seed=st.randoms(use_true_random=False))
def test_the_order_of_resources_and_stacks_means_nothing(seed: Any) -> None:
    def shuffled(mapping: dict[str, Any]) -> dict[str, Any]:
        names = list(mapping)
        seed.shuffle(names)
        return {name: mapping[name] for name in names}

    new = shuffled({stack: {**each, "Resources": shuffled(each["Resources"])} for stack, each in stacks().items()})
    assert consequences(compare(stacks(), new, REGION)) == {Consequence.NOTHING}


def test_comparing_changes_no_template() -> None:
    before = copy.deepcopy(stacks())
    compare(stacks(), stacks(network__cidr="10.99.0.0/16"), REGION)
    assert stacks() == before
