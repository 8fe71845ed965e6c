"""All bodies together have a bound, of which no tenant takes the whole."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.admission.bodies import Bodies
from runtime.handoff.contract import Code, HandoffError


def test_one_tenant_alone_gets_four_fifths_and_another_finds_room() -> None:
    bodies = Bodies(100)
    with ExitStack() as stack:
        stack.enter_context(bodies.holding("a", 80))
        with pytest.raises(HandoffError) as refused:
            stack.enter_context(bodies.holding("a", 1))
        assert (refused.value.code, refused.value.retry_after) == (Code.OVERLOADED, 1)
        stack.enter_context(bodies.holding("b", 16))
        stack.enter_context(bodies.holding("a", 0))
    assert bodies.held == 0
    with bodies.holding("a", 80):
        pass


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=30))
def test_the_bound_is_never_exceeded_and_nothing_is_left(asked: list[tuple[str, int]]) -> None:
    bodies = Bodies(100)
    with ExitStack() as stack:
        for tenant, size in asked:
            try:
                stack.enter_context(bodies.holding(tenant, size))
            except HandoffError:
                assert size
            assert bodies.held <= 100
    assert bodies.held == 0
