"""A thread asks until it is stopped."""

from __future__ import annotations

import threading

from runtime.gateway.peers.polling import polling
from tests.patience import HUNG_SECONDS


def test_it_is_asked_at_once_and_again_until_the_end() -> None:
    asked = threading.Semaphore(0)
    with polling("test", asked.release, 0.001):
        for _ in range(3):
            assert asked.acquire(timeout=HUNG_SECONDS)
    assert "test" not in {thread.name for thread in threading.enumerate()}


def test_leaving_waits_for_a_call_under_way() -> None:
    began, calls = threading.Event(), []

    def refresh() -> None:
        began.set()
        calls.append("began")
        threading.Event().wait(0.05)
        calls.append("ended")

    with polling("test", refresh, 60):
        assert began.wait(HUNG_SECONDS)
    assert calls == ["began", "ended"]
