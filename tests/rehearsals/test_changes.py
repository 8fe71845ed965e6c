"""Rehearse a deployment's life: update, rollback and teardown; and break what must keep its data."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.rehearsal


def test_a_deployment_is_updated_rolled_back_and_torn_down(checkout: Any) -> None:
    status, output = checkout.run("rehearse", "--changes", "deployments/rehearsal.yaml", seconds=900)
    assert status == 0, output
    report = checkout.report()
    assert report["ok"] is True
    assert [prompt["tokens_equal_single_process"] for prompt in report["prompts"]] == [True] * 3
    changes = report["changes"]
    assert changes["update"]["foretold"].keys() == {"rolling"}
    assert changes["update"]["stacks"] == ["rehearsal-gateway", "rehearsal-prefill"]
    rolling = changes["rolling"]
    assert rolling["streams"] > 20
    kinds = [
        next(kind for kind in ("endpoint", "prefill", "gateway") if kind in each["name"])
        for each in rolling["replaced"]
    ]
    assert kinds == ["endpoint", "endpoint", "prefill", "gateway"]
    assert [each["batches"] for each in rolling["replaced"]] == [[1], [1], [1, 1], [2]], "as ECS may"
    assert all(each["under_way"] for each in rolling["replaced"])
    assert changes["rollback"] == {"status": "UPDATE_ROLLBACK_COMPLETE", "went_ahead": ["rehearsal-prefill"]}
    assert changes["recovery"]["stacks"] == ["rehearsal-prefill"]
    assert len([name for name in changes["retained"] if name.startswith("rehearsal-storage/")]) >= 3
    assert checkout.left_running() == []


def test_a_key_that_would_go_with_its_stack_is_found(checkout: Any) -> None:
    file = "constructs/storage/artifacts.py"
    key = 'kms.Key(self, "Key", enable_key_rotation=True, removal_policy=RemovalPolicy.'
    checkout.replace(file, f"{key}RETAIN)", f"{key}DESTROY)")
    status, output = checkout.run("rehearse", "--changes", "deployments/rehearsal.yaml", seconds=900)
    assert status == 1, output
    assert "is PendingDeletion: what it encrypts cannot be read" in output
    assert "Traceback" not in output
