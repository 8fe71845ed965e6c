"""Forms of capacity: moments in UTC, names of reservations, and where a fault in them is reported."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.spec.capacity import CapacityBlock
from tandem.spec.read import parse
from tests.documents import ABSENT, document

_BLOCK = {"mode": "capacity-block", "zone": "us-east-2b", "reservation_id": "cr-0123456789abcdef0"}
_PATH = "prefill.groups.0.capacity"


def _text(ends_at: str) -> str:
    whole = document(prefill__groups__0__capacity={**_BLOCK, "ends_at": "MOMENT"})
    return yaml.safe_dump(whole).replace("MOMENT", ends_at)


@pytest.mark.parametrize("ends_at", ["2027-01-31T11:30:00Z", "'2027-01-31T11:30:00Z'", "2027-01-31 11:30:00+00:00"])
def test_a_moment_may_be_quoted(ends_at: str) -> None:
    deployment, findings = parse(_text(ends_at), Path("file.yaml"))
    assert deployment is not None, findings
    assert deployment.prefill is not None
    capacity = deployment.prefill.groups[0].capacity
    assert isinstance(capacity, CapacityBlock)
    assert capacity.ends_at == datetime(2027, 1, 31, 11, 30, tzinfo=UTC)
    assert capacity.scale_in_at == datetime(2027, 1, 31, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "ends_at",
    ["2027-01-31T11:30:00", "'2027-01-31T11:30:00+02:00'", "2007-01-31T11:30:00Z", "2027-01-31", "soon", "1801395000"],
)
def test_any_other_moment_is_refused(ends_at: str) -> None:
    _, [found] = parse(_text(ends_at), Path("file.yaml"))
    assert (found.code, found.path) == ("field-invalid", f"{_PATH}.ends_at")


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"mode": "auction"}, "field-invalid", f"{_PATH}.mode"),
        ({"mode": ABSENT}, "field-missing", f"{_PATH}.mode"),
        ({"reservation_id": "i-0123456789abcdef0"}, "field-invalid", f"{_PATH}.reservation_id"),
        ({"lead_minutes": 30}, "field-invalid", f"{_PATH}.lead_minutes"),  # EC2 terminates then
        ({"target": "cr-0123456789abcdef0"}, "field-unknown", f"{_PATH}.target"),
    ],
)
def test_a_fault_is_reported_where_the_file_has_it(change: dict[str, Any], code: str, path: str) -> None:
    capacity = {**_BLOCK, "ends_at": "2027-01-31T11:30:00Z", **change}
    whole = document(prefill__groups__0__capacity={k: v for k, v in capacity.items() if v is not ABSENT})
    _, [found] = parse(yaml.safe_dump(whole), Path("file.yaml"))
    assert (found.code, found.path) == (code, path)


def test_a_fault_in_a_decode_group_is_reported_there_too() -> None:
    group = {"name": "trn2", "instance_type": "trn2.48xlarge", "count": 1, "tensor_parallel": 64}
    whole = document("vllm", decode__groups=[{**group, "capacity": {**_BLOCK, "ends_at": "soon"}}])
    _, [found] = parse(yaml.safe_dump(whole), Path("file.yaml"))
    assert found.path == "decode.groups.0.capacity.ends_at"
