"""The secret of tenants, as moto serves it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from moto import mock_aws

from runtime.gateway.access.tenants import digest
from tandem.tenants.change import TenantError, Tenants, add
from tandem.tenants.store import Store

STAGES = {"AWSCURRENT", "AWSPREVIOUS"}


def adding(tenant_id: str) -> Any:
    return partial(add, tenant_id=tenant_id, key_digest=digest(tenant_id), limits={})


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="us-east-2")
        yield Store(client, client.create_secret(Name="tenants")["ARN"])


def ids(store: Store) -> list[str]:
    return [tenant.id for tenant in store.read()]


def test_before_the_first_tenant_there_is_none(store: Store) -> None:
    assert store.read() == ()


def test_changes_follow_each_other_and_the_document_before_is_kept(store: Store) -> None:
    for name in ("a", "b", "c"):
        store.change(adding(name))
    assert ids(store) == ["a", "b", "c"]
    stages = store.client.describe_secret(SecretId=store.arn)["VersionIdsToStages"]
    current = {stage for at in stages.values() for stage in at}
    assert STAGES <= current <= STAGES | {"tandem-proposed"}


@pytest.mark.parametrize("before", [0, 1])
def test_of_two_operators_at_once_neither_undoes_the_other(store: Store, before: int) -> None:
    for index in range(before):
        store.change(adding(f"before-{index}"))
    overtaken: list[bool] = []

    def slow(tenants: Tenants) -> Tenants:
        if not overtaken:
            overtaken.append(True)
            store.change(adding("quick"))
        return add(tenants, "slow", digest("slow"), {})

    store.change(slow)
    assert ids(store)[before:] == ["quick", "slow"]


def test_one_who_is_always_overtaken_gives_up(store: Store) -> None:
    names = iter(range(100))

    def overtaken(tenants: Tenants) -> Tenants:
        store.change(adding(f"n{next(names)}"))
        return add(tenants, "slow", digest("slow"), {})

    with pytest.raises(TenantError, match="changed by others"):
        store.change(overtaken)
    assert "slow" not in ids(store)


def test_what_a_secret_cannot_hold_is_refused_before_it_is_written(store: Store) -> None:
    def many(tenants: Tenants) -> Tenants:
        for index in range(1000):
            tenants = add(tenants, f"tenant-{index}", digest("k"), {})
        return tenants

    with pytest.raises(TenantError, match="of 65536 bytes"):
        store.change(many)
    assert store.read() == ()


def test_a_document_that_is_none_is_not_written_over(store: Store) -> None:
    store.client.put_secret_value(SecretId=store.arn, SecretString="not tenants")
    with pytest.raises(TenantError, match="cannot be used"):
        store.change(adding("a"))
    assert store.client.get_secret_value(SecretId=store.arn)["SecretString"] == "not tenants"
