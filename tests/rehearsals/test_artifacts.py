"""What the deployed job compiles, the deployed worker fetches instead of compiling it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.rehearsal


def test_what_the_job_compiles_the_worker_fetches(checkout: Any, tmp_path: Path) -> None:
    status, output = checkout.run("rehearse", "deployments/rehearsal.yaml")
    assert status == 0, output
    [job] = checkout.report()["jobs"]
    logs = tmp_path / ".rehearsal/logs"
    compiled = (logs / f"{job['name']}.log").read_text()
    assert "are in the bucket" in compiled
    [served] = [log.read_text() for log in logs.glob("*prefill*Service*.log")]
    assert "artifacts: 0 of 1 files" in served, "the worker's host had none"
    assert "compilation cache hit" in served
    assert "so vLLM compiles" not in served
