"""The key of compiled artifacts: equal where the graphs are, another where they may differ."""

from __future__ import annotations

from typing import Any

import pytest

from constructs.serving.artifacts import compile_key
from constructs.serving.vllm import Launch, Role
from tandem.spec.model import Model
from tandem.spec.workers import InstanceGroup, Workers

_GROUP: dict[str, Any] = {"name": "trn2", "instance_type": "trn2.48xlarge", "count": 1, "tensor_parallel": 64}
_MODEL: dict[str, Any] = {"id": "meta-llama/Llama-3.3-70B-Instruct", "max_model_len": 4096}


_SAME: dict[str, Any] = {}


def _key(role: Role = Role.PREFILL, model: dict[str, Any] = _SAME, group: dict[str, Any] = _SAME, **rest: Any) -> str:
    its = InstanceGroup(**{**_GROUP, **group})
    assert its.kind
    workers = Workers(groups=[its], **rest)
    return compile_key(Launch(model=Model(**{**_MODEL, **model}), workers=workers, group=its, kind=its.kind, role=role))


def test_it_names_the_model_for_whoever_reads_the_bucket() -> None:
    assert _key().startswith("meta-llama-llama-3-3-70b-instruct-")


@pytest.mark.parametrize(
    "change",
    [
        {"role": Role.DECODE},
        {"model": {"id": "meta-llama/Llama-3.3-8B-Instruct"}},
        {"model": {"max_model_len": 8192}},
        {"model": {"weights": "s3://weights/llama"}},
        {"model": {"kv_connector": "NeuronNixlConnector"}},
        {"group": {"tensor_parallel": 32}},
        {"group": {"instance_type": "trn2.3xlarge"}},
        {"image": "example.com/vllm:2"},
        {"block_size": 64},
        {"max_num_seqs": 4},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_may_change_a_graph_changes_it(change: dict[str, Any]) -> None:
    assert _key(**change) != _key()


@pytest.mark.parametrize(
    "change",
    [
        {"group": {"name": "other", "count": 7, "capacity": {"mode": "spot"}}},
        {"api_port": 8101, "side_channel_port": 5560, "status_port": 8098},
        {"kv_lease_seconds": 60},
        {"start_seconds": 7200, "warm_start_seconds": 600},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_no_graph_does_not(change: dict[str, Any]) -> None:
    assert _key(**change) == _key()
