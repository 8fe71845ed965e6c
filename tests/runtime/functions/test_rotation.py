"""The four steps of a rotation, in order, twice, and after a failure half-way, in moto's Secrets Manager."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from runtime.functions.rotation import RotationError, handler
from runtime.handoff import settings

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "t",
        "AWS_SECRET_ACCESS_KEY": "t",
        "AWS_DEFAULT_REGION": "us-east-2",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with mock_aws():
        made = boto3.client("secretsmanager")
        made.create_secret(Name="s", SecretString="one")
        yield made


def begin(client: Any, text: str | None = None) -> str:
    """Make the pending version as Secrets Manager does, by default without a value; return its id."""
    from moto.secretsmanager.models import secretsmanager_backends

    token = str(uuid.uuid4())
    secret: Any = secretsmanager_backends["123456789012"]["us-east-2"].secrets["s"]
    version = {"createdate": 0, "version_id": token, "version_stages": ["AWSPENDING"]}
    secret.versions[token] = version | ({"secret_string": text} if text is not None else {})
    return token


def step(name: str, token: str) -> None:
    handler({"Step": name, "SecretId": "s", "ClientRequestToken": token}, None)


def value(client: Any, stage: str = "AWSCURRENT") -> str:
    text: str = client.get_secret_value(SecretId="s", VersionStage=stage)["SecretString"]
    return text


def test_the_new_key_is_current_and_the_one_before_is_kept(client: Any) -> None:
    token = begin(client)
    for name in STEPS:
        assert value(client) == "one"
        step(name, token)
    assert (len(value(client)), value(client, "AWSPREVIOUS")) == (64, "one")


def test_every_step_may_come_twice(client: Any) -> None:
    token = begin(client)
    step("createSecret", token)
    made = value(client, "AWSPENDING")
    for name in STEPS:
        step(name, token)
        step(name, token)
    for name in STEPS:
        step(name, token)
    assert (value(client), value(client, "AWSPREVIOUS")) == (made, "one")


def test_a_rotation_that_stopped_goes_on_with_the_same_key(client: Any) -> None:
    token = begin(client)
    step("createSecret", token)
    made = value(client, "AWSPENDING")
    for name in STEPS:
        step(name, token)
    assert value(client) == made


def test_a_field_is_replaced_and_the_others_stay(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.SECRET_FIELD, "api_key")
    client.put_secret_value(SecretId="s", SecretString='{"api_key": "one", "owner": "me"}')
    token = begin(client)
    for name in STEPS:
        step(name, token)
    document = json.loads(value(client))
    assert (document["owner"], len(document["api_key"])) == ("me", 64)


@pytest.mark.parametrize(("text", "field"), [("", None), ("hidden", "api_key"), ('{"api_key": ""}', "api_key")])
def test_a_pending_version_without_a_key_is_refused_and_not_quoted(
    client: Any, monkeypatch: pytest.MonkeyPatch, text: str, field: str | None
) -> None:
    if field:
        monkeypatch.setenv(settings.SECRET_FIELD, field)
    token = begin(client, text)
    with pytest.raises(RotationError, match="holds no key") as refused:
        step("testSecret", token)
    assert "hidden" not in str(refused.value)
    assert value(client) == "one"


def test_what_is_no_rotation_is_refused(client: Any) -> None:
    with pytest.raises(RotationError, match="not AWSPENDING"):
        step("finishSecret", str(uuid.uuid4()))
    with pytest.raises(RotationError, match="step is 'deleteSecret'"):
        step("deleteSecret", begin(client))
