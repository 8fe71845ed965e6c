"""A deadline that travels."""

from __future__ import annotations

import pytest

from runtime.gateway.routing.deadline import Deadline
from runtime.handoff.contract import Code, HandoffError


def test_each_hop_is_told_what_is_left() -> None:
    deadline = Deadline.read("1500", now=100.0)
    assert deadline.header(100.5) == "1000"
    assert deadline.left(102.0) == 0.0
    assert deadline.header(102.0) == "1"


def test_without_a_limit_none_is_told() -> None:
    assert Deadline.read(None, now=1.0) == Deadline()
    assert (Deadline().left(5.0), Deadline().header(5.0)) == (None, None)


@pytest.mark.parametrize("header", ["", "0", "-1", "1.5", "soon", "٣", "9" * 10])
def test_anything_else_is_refused(header: str) -> None:
    with pytest.raises(HandoffError, match="milliseconds") as refused:
        Deadline.read(header, now=0.0)
    assert refused.value.code is Code.INVALID_REQUEST
