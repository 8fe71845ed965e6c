"""Be as patient as a busy machine needs; a test of the bounds sets its own."""

from __future__ import annotations

import pytest

from tandem.doctor import examine


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "_REACH_SECONDS", 60.0)
    monkeypatch.setattr(examine, "_CHECK_SECONDS", 60.0)
