"""All bodies together have a bound, of which no tenant takes the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.admission.bodies import Bodies
from runtime.handoff.contract import Code, HandoffError


def test_one_tenant_alone_gets_four_fifths_and_another_finds_room() -> None:
    bodies = Bodies(100)
    bodies.take("a", 80)
    with pytest.raises(HandoffError) as refused:
        bodies.take("a", 1)
    assert (refused.value.code, refused.value.retry_after) == (Code.OVERLOADED, 1)
    bodies.take("b", 16)
    bodies.take("a", 0)
    for tenant, size in (("a", 80), ("b", 16), ("a", 0)):
        bodies.give_back(tenant, size)
    assert bodies.held == 0
    bodies.take("a", 80)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=30))
def test_the_bound_is_never_exceeded_and_nothing_is_left(asked: list[tuple[str, int]]) -> None:
    bodies, held = Bodies(100), []
    for tenant, size in asked:
        try:
            bodies.take(tenant, size)
            held.append((tenant, size))
        except HandoffError:
            assert size
        assert bodies.held <= 100
    for tenant, size in held:
        bodies.give_back(tenant, size)
    assert bodies.held == 0
