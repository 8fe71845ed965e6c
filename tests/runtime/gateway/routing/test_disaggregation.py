"""Which prompts are worth a prefill worker."""

from __future__ import annotations

import pytest

from runtime.gateway.routing.decision import Reason
from runtime.gateway.routing.disaggregation import Handoff, Thresholds, disaggregate

BOTH = (Handoff.KV, Handoff.TEXT)


@pytest.mark.parametrize(
    ("prompt", "cached", "handoff", "reason"),
    [
        (10_000, 7_952, Handoff.KV, Reason.NEW_TOKENS),
        (10_000, 7_953, Handoff.TEXT, Reason.CACHED),
        (1000, 300, Handoff.KV, Reason.NEW_SHARE),
        (1000, 301, Handoff.TEXT, Reason.CACHED),
        (10, 0, Handoff.KV, Reason.NEW_SHARE),
        (10, 20, Handoff.TEXT, Reason.CACHED),
    ],
)
def test_by_what_is_new(prompt: int, cached: int, handoff: Handoff, reason: Reason) -> None:
    decision = disaggregate(prompt, cached, Thresholds(), BOTH)
    assert (decision.choice, decision.reason) == (handoff, reason)


@pytest.mark.parametrize(("possible", "reason"), [((Handoff.KV,), Reason.NO_TEXT), ((Handoff.TEXT,), Reason.NO_KV)])
def test_what_is_not_possible_is_not_chosen(possible: tuple[Handoff, ...], reason: Reason) -> None:
    for cached in (0, 10_000):
        decision = disaggregate(10_000, cached, Thresholds(), possible)
        assert (decision.choice, decision.reason) == (possible[0], reason)
