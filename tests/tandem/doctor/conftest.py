"""Be as patient as a busy machine needs; a test of the bounds sets its own."""

from __future__ import annotations

import pytest

from runtime.handoff import worker_client
from tandem.doctor import examine, http
from tests.patience import HUNG_SECONDS


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "_REACH_SECONDS", HUNG_SECONDS)
    monkeypatch.setattr(examine, "_CHECK_SECONDS", HUNG_SECONDS)
    monkeypatch.setattr(http, "_TIMEOUT_SECONDS", HUNG_SECONDS)
    monkeypatch.setattr(worker_client, "_SECONDS", HUNG_SECONDS)
