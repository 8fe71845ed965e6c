"""Tenants are known by their keys, and their document is read or refused without being quoted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.access.tenants import LIMITS, REVOKED, Keyring, Tenant, digest, dump, identify, load

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
TENANTS = st.builds(
    Tenant,
    id=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    keys=st.lists(DIGESTS, max_size=2).map(tuple),
    state=st.sampled_from(["active", "revoked"]),
    limits=st.dictionaries(st.sampled_from(LIMITS), st.integers(1, 10**9)),
    signing=st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=2),
)


@given(st.lists(TENANTS, max_size=5, unique_by=lambda tenant: tenant.id))
def test_what_is_written_is_read(tenants: list[Tenant]) -> None:
    assert load(dump(tenants)) == tuple(sorted(tenants, key=lambda tenant: tenant.id))


def document(**changes: Any) -> str:
    return json.dumps({"tenants": {"acme": {"state": "active", "keys": [digest("hidden")], **changes}}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hidden",
        "[]",
        '{"tenants": []}',
        '{"tenants": {"acme": "hidden"}}',
        '{"tenants": {"Acme Hidden": {"state": "active", "keys": []}}}',
        document(state="hidden"),
        document(keys=["hidden"]),
        document(keys=[digest("hidden")] * 3),
        document(keys=None),
        document(limits={"hidden": 1}),
        document(limits={"concurrency": 0}),
        document(limits={"concurrency": True}),
        document(limits=7),
        document(signing={"a": "hidden", "b": "hidden", "c": "hidden"}),
        document(signing={"a": ""}),
        document(signing=["hidden"]),
    ],
)
def test_another_document_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"tenant|line") as refused:
        load(text)
    assert "hidden" not in str(refused.value)
    assert digest("hidden") not in str(refused.value)


def test_a_key_is_known_by_any_of_its_tenants_digests() -> None:
    tenants = [
        Tenant(id="a", keys=(digest("new"), digest("old"))),
        Tenant(id="b", keys=(digest("gone"),), state=REVOKED),
        Tenant(id="c", keys=()),
    ]
    found = [
        identify(key, [Keyring([]), Keyring(tenants)]) for key in ("new", "old", "gone", "", digest("new"), "\udce9")
    ]
    assert [tenant and tenant.id for tenant in found] == ["a", "a", None, None, None, None]
