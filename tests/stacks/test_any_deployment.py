"""What the rules let pass synthesizes: a few deployments out of many, others at each run."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.spec.findings import has_errors
from tandem.spec.instances import INSTANCE_TYPES
from tests.documents import CERTIFICATE, read
from tests.templates import templates

_BLOCK = {
    "mode": "capacity-block",
    "zone": "us-east-2b",
    "ends_at": "2027-01-31T11:30:00Z",
    "reservation_id": "cr-0123456789abcdef0",
}
_CAPACITY = [
    {"mode": "on-demand"},
    {"mode": "spot"},
    {"mode": "reservation", "zone": "us-east-2b", "target": "cr-0123456789abcdef0"},
    _BLOCK,
]
_WORKERS = {
    "groups__0__count": st.integers(1, 4),
    "groups__0__min_count": st.integers(1, 3),
    "groups__0__max_count": st.integers(1, 8),
    "groups__0__instance_type": st.sampled_from(sorted(INSTANCE_TYPES)),
    "groups__0__tensor_parallel": st.sampled_from([4, 32, 64]),
    "groups__0__efa_layout": st.sampled_from(["efa", "ena-plus-efa-only"]),
    "groups__0__capacity": st.sampled_from(_CAPACITY),
    "kv_lease_seconds": st.integers(1, 3600),
    "max_num_seqs": st.integers(1, 64),
}
_REST = {
    "model__weights": st.just("s3://bucket/weights"),
    "model__kv_connector": st.sampled_from(["NixlConnector", "NeuronNixlConnector"]),
    "network__cidr": st.sampled_from(["10.0.0.0/16", "172.16.0.0/18", "192.168.0.0/17"]),
    "gateway__min_count": st.integers(1, 4),
    "gateway__max_count": st.integers(1, 4),
    "gateway__domain": st.just("llm.example.com"),
    "gateway__certificate_arn": st.just(CERTIFICATE),
    "registration__registrar": st.sampled_from(["none", "import", "agentcore-gateway"]),
    "observability__log_retention_days": st.sampled_from([1, 30, 3653]),
}


def _changes(provider: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    stages = {"cs3": ["prefill"], "vllm": ["prefill", "decode"], "openai": []}[provider]
    fields = _REST | {f"{stage}__{name}": values for stage in stages for name, values in _WORKERS.items()}
    return st.fixed_dictionaries({}, optional=fields).map(lambda changes: (provider, changes))


def _passes(case: tuple[str, dict[str, Any]]) -> bool:
    provider, changes = case
    found, findings = read(provider, **changes)
    return found is not None and not has_errors(findings)


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.sampled_from(["cs3", "vllm", "openai"]).flatmap(_changes).filter(_passes))
def test_a_file_without_errors_synthesizes(case: tuple[str, dict[str, Any]]) -> None:
    provider, changes = case
    assert {"network", "storage", "gateway", "decode"} <= set(templates(provider, **changes))
