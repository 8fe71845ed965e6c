"""End one process of each kind while many clients read: each reads the tokens that a single process writes."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.rehearsal

PARTS = ("endpoint", "prefill", "gateway")


def kind(process: str) -> str:
    """Return what a process is; the collector has its gateway's name before its own."""
    return next(each for each in ("collector", *PARTS) if each in process)


def test_no_process_that_ends_costs_a_token_of_any_stream(checkout: Any) -> None:
    status, output = checkout.run("rehearse", "--kills", "deployments/rehearsal.yaml", seconds=900)
    assert status == 0, output
    ended = checkout.report()["kills"]
    kinds = [(each["signal"], kind(each["process"])) for each in ended]
    assert sorted(kinds) == sorted(
        [("SIGKILL", "collector"), *((name, part) for name in ("SIGKILL", "SIGTERM") for part in PARTS)]
    )
    assert [each["as_alone"] for each in ended] == [each["streams"] for each in ended] == [200] * 4 + [24] * 3
    broke = {each["process"]: each["resumed"] for each in ended if each["resumed"]}
    assert all(kind(name) == "gateway" for name in broke)
    assert len(broke) == 1, "a killed gateway's clients must notice, or it had none"
    assert checkout.left_running() == []
