"""Tell a worker to stop during a prefill, as ECS does: its KV is read, its answer ends, and no new request comes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from openai import APIError

from tandem.rehearsal.tasks.service import Service
from tests.patience import HUNG_SECONDS
from tests.rehearsals.test_kills import LONG, ask, ask_while, rehearsed, victim

pytestmark = pytest.mark.rehearsal


def test_a_worker_that_is_told_to_stop_serves_what_it_has_begun_and_nothing_more(tmp_path: Path) -> None:
    def scenario(service: Service) -> None:
        worker = victim(service, "prefill")

        assert ask_while(service, LONG, lambda: os.kill(worker.popen.pid, signal.SIGTERM)).result()
        with pytest.raises(APIError) as raised:
            ask(service, "Hello?", then=lambda: None)
        assert raised.value.body["code"] == "prefill_unavailable"  # type: ignore[index]  # OpenAI's object
        assert worker.popen.wait(HUNG_SECONDS) == 0
        assert "prefill: drained" in worker.log.read_text()

    rehearsed(tmp_path, scenario)
