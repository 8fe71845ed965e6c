"""The deployment's key: who its policy admits, and what it encrypts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.templates import resources, templates


@pytest.fixture
def key() -> dict[str, Any]:
    return next(body for name, body in templates()["storage"]["Resources"].items() if name.startswith("KeyE4"))


def _statement(key: dict[str, Any], sid: str) -> dict[str, Any]:
    [found] = [each for each in key["Properties"]["KeyPolicy"]["Statement"] if each.get("Sid") == sid]
    return found  # type: ignore[no-any-return]


def test_the_key_turns_and_outlives_what_it_encrypts(key: dict[str, Any]) -> None:
    assert (key["DeletionPolicy"], key["Properties"]["EnableKeyRotation"]) == ("Retain", True)


def test_logs_use_it_for_groups_of_this_deployment_alone(key: dict[str, Any]) -> None:
    statement = _statement(key, "Logs")
    service = statement["Principal"]["Service"]["Fn::Join"]
    assert service == ["", ["logs.", {"Ref": "AWS::Region"}, ".amazonaws.com"]]
    [(operator, condition)] = statement["Condition"].items()
    assert operator == "ArnLike"
    assert str(condition["kms:EncryptionContext:aws:logs:arn"]).endswith(":log-group:small-*']]}")


@pytest.mark.parametrize("sid", ["Secrets", "Volumes", "VolumeGrants"])
def test_whoever_is_not_named_is_held_by_conditions(key: dict[str, Any], sid: str) -> None:
    statement = _statement(key, sid)
    conditions = {name for tests in statement["Condition"].values() for name in tests}
    assert conditions & {"kms:CallerAccount", "aws:PrincipalArn"}
    assert not any(action in ("kms:*", "*") for action in statement["Action"])


def test_every_log_group_and_secret_and_volume_has_it() -> None:
    reference = {"Fn::ImportValue": "small-storage:ExportsOutputFnGetAttKeyE447D366Arn1BDC6918"}
    for provider in ("cs3", "vllm", "openai"):
        for template in templates(provider).values():
            for kind in ("AWS::Logs::LogGroup", "AWS::SecretsManager::Secret"):
                assert all(each["KmsKeyId"] == reference for each in resources(template, kind).values())
            for each in resources(template, "AWS::EC2::LaunchTemplate").values():
                [volume] = each["LaunchTemplateData"]["BlockDeviceMappings"]
                assert (volume["Ebs"]["KmsKeyId"], volume["Ebs"]["Encrypted"]) == (reference, True)
