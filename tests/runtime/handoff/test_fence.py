"""The fence lets KV through in one order only, tells the worker once, and frees memory once and never too early."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff import fields
from runtime.handoff.acceptance import Accepted, Life
from runtime.handoff.contract import Code, HandoffError, Phase
from runtime.handoff.fence import CLOCK_DRIFT, Action, Fence
from runtime.handoff.reservation import Reservation
from runtime.handoff.seal import Seal
from runtime.handoff.ticket import Ticket

ENGINE = Life("engine", "life 1")
LEASE, GAP, GRANTED = 30.0, 2.0, 100.0
DEADLINE = GRANTED + (LEASE + GAP) * (1 - CLOCK_DRIFT)
PARAMS: dict[str, Any] = {
    fields.REMOTE_ENGINE_ID: ENGINE.engine_id,
    fields.REMOTE_REQUEST_ID: "q",
    fields.REMOTE_BLOCK_IDS: [[1]],
    fields.REMOTE_HOST: "10.0.0.1",
    fields.REMOTE_PORT: 5559,
    fields.REMOTE_NUM_TOKENS: 4,
}
RESERVATION = Reservation(
    reservation_id="s", request_id="r", attempt=1, size=1, max_tokens=1, granted_at=GRANTED, expires_at=GRANTED + 1
)


def a_fence(*, sealed: bool = True) -> Fence:
    claims = {"tenant": "t", "request_id": "r", "attempt": 1, "model": "m", "reservation_id": "s", "expires_at": 9e9}
    ticket = Ticket.for_params(PARAMS, **claims, lease_ms=int(LEASE * 1000), prefill_gap_ms=int(GAP * 1000))
    seal = Seal(generation=ENGINE.generation, model_digest="", block_tokens=4, digests=bytes(8)) if sealed else None
    return Fence(Accepted(params=PARAMS, ticket=ticket, seal=seal), RESERVATION)


def test_the_way_through() -> None:
    fence = a_fence()
    fence.shaken(ENGINE)
    assert fence.reading(now=GRANTED) == pytest.approx(DEADLINE - GRANTED)
    fence.read(now=GRANTED + 1)
    assert fence.own() == {Action.NOTIFY}
    assert fence.phase is Phase.DECODE
    assert fence.end() == {Action.FREE}
    assert fence.end() == fence.settled() == frozenset()


@pytest.mark.parametrize("found", [Life("other", "life 1"), Life("engine", "life 2")])
def test_another_life_is_refused(found: Life) -> None:
    with pytest.raises(HandoffError) as refused:
        a_fence().shaken(found)
    assert refused.value.code is Code.KV_FOREIGN


def test_a_stock_vllm_tells_no_generation() -> None:
    a_fence(sealed=False).shaken(ENGINE)
    a_fence().shaken(Life("engine", ""))


@pytest.mark.parametrize("now", [DEADLINE, DEADLINE + 1])
def test_a_read_that_ends_too_late_is_stale(now: float) -> None:
    fence = a_fence()
    fence.shaken(ENGINE)
    fence.reading(now=DEADLINE - 0.001)
    with pytest.raises(HandoffError) as refused:
        fence.read(now=now)
    assert (refused.value.code, fence.phase) == (Code.KV_STALE, Phase.TRANSFER)
    assert fence.end() == {Action.NOTIFY, Action.FREE}


def test_a_read_is_not_begun_too_late() -> None:
    fence = a_fence()
    fence.shaken(ENGINE)
    with pytest.raises(HandoffError, match="not yet read"):
        fence.reading(now=DEADLINE)
    assert fence.end() == {Action.NOTIFY, Action.FREE}


def test_memory_that_a_read_may_still_write_is_not_freed() -> None:
    fence = a_fence()
    fence.shaken(ENGINE)
    fence.reading(now=GRANTED)
    assert fence.end() == {Action.NOTIFY}
    assert fence.end() == frozenset()
    assert fence.settled() == {Action.FREE}
    assert fence.settled() == frozenset()


STEPS = st.lists(st.sampled_from(["shaken", "reading", "read", "own", "end", "settled"]), max_size=12)


@given(STEPS)
def test_nothing_is_done_twice_and_no_step_is_left_out(steps: list[str]) -> None:
    fence, done, taken = a_fence(), list[Action](), list[str]()
    arguments: dict[str, dict[str, Any]] = {"shaken": {"found": ENGINE}, "reading": {"now": 101}, "read": {"now": 102}}
    for step in steps:
        try:
            answer = getattr(fence, step)(**arguments.get(step, {}))
        except RuntimeError:
            continue
        taken.append(step)
        done += answer if isinstance(answer, frozenset) else []
    assert len(done) == len(set(done))
    assert Action.FREE not in done or "end" in taken
    if "own" in taken:
        assert [step for step in taken[: taken.index("own")] if step in ("shaken", "read")] == ["shaken", "read"]
