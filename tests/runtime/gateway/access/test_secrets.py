"""Secrets are kept fresh from Secrets Manager, as moto serves it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from runtime.gateway.access import keys
from runtime.gateway.access.secrets import SecretError, Secrets
from runtime.gateway.access.tenants import digest


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-2")


def made(client: Any, value: str) -> str:
    arn: str = client.create_secret(Name="s", SecretString=value)["ARN"]
    return arn


def put(client: Any, value: str) -> None:
    client.put_secret_value(SecretId="s", SecretString=value)


def test_a_rotation_is_seen_with_the_value_before(client: Any) -> None:
    secrets = Secrets(client)
    secret = secrets.watch(made(client, "one"), list)
    assert secret.value == ["one"]
    put(client, "two")
    assert secret.value == ["one"]
    secrets.refresh()
    assert secret.value == ["two", "one"]


def test_values_are_fetched_only_when_their_versions_change(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets(client)
    secret = secrets.watch(made(client, "one"), list)
    monkeypatch.setattr(client, "get_secret_value", None)
    secrets.refresh()
    assert secret.value == ["one"]


def test_the_last_good_value_stays_where_the_next_cannot_be_used(
    client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = Secrets(client)
    secret = secrets.watch(made(client, '{"api_key": "good"}'), keys.endpoint)
    put(client, "hidden")
    secrets.refresh()
    assert secret.value == "good"
    said = capsys.readouterr().out
    assert json.loads(said)["event"] == "secret_failed"
    assert "hidden" not in said
    put(client, '{"api_key": "better"}')
    secrets.refresh()
    assert secret.value == "better"


def test_the_last_good_value_stays_while_secrets_manager_fails(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = Secrets(client)
    arn = made(client, "one")
    first, second = (secrets.watch(arn, list) for _ in range(2))
    put(client, "two")

    def fail(**_: object) -> None:
        raise ClientError({"Error": {"Code": "InternalServiceError", "Message": "not now"}}, "DescribeSecret")

    with monkeypatch.context() as failing:
        failing.setattr(client, "describe_secret", fail)
        secrets.refresh()
    assert (first.value, second.value) == (["one"], ["one"])
    assert capsys.readouterr().out.count("not now") == 2
    secrets.refresh()
    assert (first.value, second.value) == (["two", "one"], ["two", "one"])


def test_a_first_value_that_cannot_be_had_is_an_error(client: Any) -> None:
    secrets = Secrets(client)
    with pytest.raises(SecretError, match="cannot be read"):
        secrets.watch("absent", list)
    with pytest.raises(SecretError, match="has no field 'api_key'"):
        secrets.watch(made(client, "{}"), keys.endpoint)


def test_no_tenant_is_known_before_the_first_is_added() -> None:
    assert keys.clients([]).keys == {}


def test_agentcore_may_still_present_the_key_before() -> None:
    known = keys.agentcore(['{"api_key": "new"}', '{"api_key": "old"}'])
    assert {key.hex(): tenant.id for key, tenant in known.keys.items()} == dict.fromkeys(
        map(digest, ("new", "old")), "agentcore"
    )


@pytest.mark.parametrize("values", [[], [""]])
def test_a_key_without_a_value_is_refused(values: list[str]) -> None:
    for read in (keys.newest, keys.endpoint):
        with pytest.raises(ValueError, match="it has no value yet"):
            read(values)


@pytest.mark.parametrize("text", ["hidden", '["hidden"]', '{"key": "hidden"}', '{"api_key": 7}', '{"api_key": ""}'])
def test_a_secret_without_its_field_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="no field 'api_key'") as refused:
        keys.endpoint([text])
    assert "hidden" not in str(refused.value)
