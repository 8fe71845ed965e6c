"""Ten thousand schedules of faults, and every invariant at the end of each."""

from __future__ import annotations

from typing import Final

import pytest

from runtime.handoff.contract import Code, Phase
from tests.runtime.handoff.simulation.reader import Answer, Failure
from tests.runtime.handoff.simulation.run import Report, run
from tests.runtime.handoff.simulation.world import Fault

SCHEDULES: Final = 12_000
CHUNK: Final = 1_000


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_no_schedule_breaks_an_invariant(first: int) -> None:
    broken = [report for report in map(run, range(first, first + CHUNK)) if report.violations]
    seeds = " ".join(str(report.seed) for report in broken[:5])
    again = f"run again: python -m tests.runtime.handoff.simulation.run {seeds}"
    assert not broken, f"{broken[0].violations} with {sorted(broken[0].fired)}; {again}"


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    return [run(seed) for seed in range(3_000)]


def test_every_fault_struck(reports: list[Report]) -> None:
    assert {fault for report in reports for fault in report.fired} == set(Fault)


def test_imports_failed_in_every_phase_that_can_fail_and_for_every_reason(reports: list[Report]) -> None:
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    failures = {(outcome.code, outcome.phase) for outcome in outcomes if isinstance(outcome, Failure)}
    assert failures >= {
        (Code.TICKET_INVALID, Phase.ADMISSION),
        (Code.KV_FOREIGN, Phase.ADMISSION),
        (Code.RESERVATION_UNKNOWN, Phase.ADMISSION),
        (Code.CAPACITY, Phase.ADMISSION),
        (Code.KV_FOREIGN, Phase.HANDSHAKE),
        (Code.KV_TRANSFER, Phase.HANDSHAKE),
        (Code.KV_TRANSFER, Phase.TRANSFER),
        (Code.KV_STALE, Phase.TRANSFER),
        (Code.KV_CORRUPT, Phase.VERIFY),
    }


def test_most_requests_are_answered(reports: list[Report]) -> None:
    """Refusing everything would keep every invariant, too."""
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    quiet = [outcome for report in reports if not report.fired for outcome in report.outcomes]
    assert all(isinstance(outcome, Answer) for outcome in quiet)
    assert sum(isinstance(outcome, Answer) for outcome in outcomes) > len(outcomes) / 2


def test_a_seed_is_a_schedule() -> None:
    for seed in range(50):
        assert repr(run(seed)) == repr(run(seed))
