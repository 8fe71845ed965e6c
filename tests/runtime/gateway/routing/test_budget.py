"""How much is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.routing.budget import RetryBudget


@given(st.lists(st.floats(0, 5), min_size=1, max_size=300))
def test_retries_never_exceed_the_share_and_what_time_gave(gaps: list[float]) -> None:
    budget, now, retries = RetryBudget(), 0.0, 0
    for gap in gaps:
        now += gap
        budget = budget.requested(now)
        for _ in range(3):
            if (spent := budget.spend(now)) is not None:
                budget, retries = spent, retries + 1
    first = RetryBudget()
    assert retries <= first.saved + first.share * len(gaps) + first.a_second * now + 1e-6


def test_a_quiet_gateway_may_retry() -> None:
    budget: RetryBudget | None = RetryBudget()
    for _ in range(10):
        assert budget
        budget = budget.spend(0.0)
    assert budget
    assert budget.spend(0.0) is None
    assert budget.spend(1.0) is not None
