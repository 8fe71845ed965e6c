"""The phases sum to the time to first token, whatever the endpoint claims."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.telemetry.phases import Phases
from runtime.handoff.metrics import PHASES


def _measured(timing: str | None, *, waits: float = 0.0) -> Phases:
    phases = Phases()
    for name in ("reserve", "prefill", "decode"):
        with phases.measure(name):
            if name == "decode" and waits:
                time.sleep(waits)
    phases.first_bytes(timing)
    return phases


@given(timing=st.none() | st.text(max_size=60) | st.from_regex(r"(transfer|verify);dur=[0-9]{1,6}(\.[0-9]{1,3})?"))
def test_phases_sum_to_the_time_to_first_token(timing: str | None) -> None:
    phases = _measured(timing)
    assert list(phases.of_first_token) == list(PHASES)
    assert sum(phases.of_first_token.values()) == pytest.approx(phases.ttft_ms)
    assert all(spent >= -1e-6 for spent in phases.of_first_token.values())


def test_the_endpoint_s_own_phases_are_parts_of_the_wait_for_it() -> None:
    spent = _measured("handshake;dur=1.5, transfer;dur=2.25, verify;dur=0.5, other;dur=9", waits=0.02).of_first_token
    assert (spent["handshake"], spent["transfer"], spent["verify"]) == (1.5, 2.25, 0.5)
    assert spent["first_token"] > 15


def test_an_endpoint_that_claims_more_than_it_took_is_not_believed() -> None:
    spent = _measured("transfer;dur=60000").of_first_token
    assert spent["transfer"] == 0


def test_a_leg_that_is_tried_again_adds_up() -> None:
    phases = Phases()
    for _ in range(2):
        with phases.measure("prefill"):
            time.sleep(0.002)
    assert phases.milliseconds["prefill"] >= 4


def test_a_leg_that_fails_is_measured() -> None:
    phases = Phases()
    with pytest.raises(KeyError), phases.measure("reserve"):
        raise KeyError
    assert list(phases.rounded) == ["reserve"]
    assert phases.ttft_ms is None
