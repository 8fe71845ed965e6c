"""Rehearse the deployment files as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.rehearsal

KV_BYTES_PER_TOKEN = 23_040


@pytest.mark.parametrize(
    "name", ["rehearsal", "llama-3.3-70b-trn2-cs3", "gpt-oss-120b-cerebras-cloud", "gpt-oss-120b-trn2"]
)
def test_file_is_deployed_and_answers(checkout: Any, name: str) -> None:
    status, output = checkout.run("rehearse", f"deployments/{name}.yaml")
    assert status == 0, output
    report = checkout.report()
    assert report["ok"] is True
    assert report["second_deploy_changed"] == []
    assert report["destroyed"] is True
    assert all(stack["resources"] > 0 for stack in report["stacks"])
    registered = "agentcore" if name.startswith("llama") else "load-balancer"
    assert report["prompts"][-1]["route"] == registered
    assert all(prompt["tokens_equal_single_process"] for prompt in report["prompts"])
    # a vLLM worker tells no client what it read
    assert all(bool(prompt["kv_bytes"]) is not name.startswith("gpt") for prompt in report["prompts"])
    read = _read_by_workers(checkout.root / ".rehearsal" / "logs")
    assert (read > 0, read % KV_BYTES_PER_TOKEN) == (name.endswith("-trn2"), 0)
    assert checkout.left_running() == []


def test_report_proves_the_handoff(checkout: Any) -> None:
    status, output = checkout.run("rehearse", "deployments/rehearsal.yaml")
    assert status == 0, output
    report = checkout.report()
    tasks = [process for process in report["processes"] if process["task_definition"]]
    assert len(tasks) == 2
    assert [function["answer"]["up"] for function in report["functions"]] == [True]
    assert max(prompt["prompt_tokens"] for prompt in report["prompts"]) >= 2_000
    for prompt in report["prompts"]:
        assert prompt["tokens_equal_single_process"] is True
        assert prompt["completion_tokens"] > 0
        assert prompt["kv_bytes"] == KV_BYTES_PER_TOKEN * prompt["prompt_tokens"]
        assert {"reserve", "prefill", "handshake", "transfer", "verify", "first_token"} <= set(prompt["phases_ms"])
        assert sum(prompt["phases_ms"].values()) == pytest.approx(prompt["ttft_ms"], abs=0.1)


def _read_by_workers(logs: Path) -> int:
    """Return the bytes of KV that decode workers say they read."""
    told = (log.read_text() for log in logs.glob("*-decode-Workers*"))
    return sum(int(moved) for text in told for moved in re.findall(r"read (\d+) bytes of KV", text))
