"""Many instance groups stay within half of what CloudFormation takes of one template."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.templates import templates

_GROUPS = 20
_BYTES, _RESOURCES = 1_000_000, 500
"""CloudFormation's quotas of one template in a bucket: its size, and its resources (user guide, quotas)."""


@pytest.fixture(scope="module")
def large() -> dict[str, dict[str, Any]]:
    """Return the templates of as many groups as anyone asked for, all of them scaled."""
    group = {
        "instance_type": "trn2.48xlarge",
        "count": 1,
        "max_count": 4,
        "tokens_per_second": 8000,
        "tensor_parallel": 64,
    }
    groups = [{**group, "name": f"group-{index}"} for index in range(_GROUPS)]
    return templates(prefill__groups=groups)


def test_twenty_groups_take_half_of_a_template(large: dict[str, dict[str, Any]]) -> None:
    sizes = {kind: len(json.dumps(template, separators=(",", ":"))) for kind, template in large.items()}
    assert {kind: size for kind, size in sizes.items() if size > _BYTES / 2} == {}
    counts = {kind: len(template["Resources"]) for kind, template in large.items()}
    assert {kind: count for kind, count in counts.items() if count > _RESOURCES / 2} == {}
