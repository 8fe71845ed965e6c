"""A task gets the secrets that its execution role may read, and the rehearsal says which it may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.hosts import TaskError
from tandem.rehearsal.tasks.secrets import secret_arn, secret_environment, secret_field
from tandem.rehearsal.tasks.task import Task

ARN = "arn:aws:secretsmanager:us-east-2:111122223333:secret:name-AbCdEf"


@pytest.mark.parametrize(
    ("source", "field"),
    [(ARN, ""), (f"{ARN}:api_key::", "api_key"), (f"{ARN}:api_key", "api_key"), (f"{ARN}::AWSCURRENT:", "")],
)
def test_reads_the_source_of_a_secret(source: str, field: str) -> None:
    assert (secret_arn(source), secret_field(source)) == (ARN, field)


def test_gives_fields_and_whole_secrets(aws: Api, tasks: dict[str, Task]) -> None:
    found = secret_environment(aws, tasks["gateway"])
    assert found == {"KEY": "k", "NUMBER": "7", "WHOLE": '{"api_key": "k", "number": 7}'}
    assert secret_environment(aws, tasks["worker"]) == {}


def test_a_role_without_the_grant_is_named(aws: Api, tasks: dict[str, Task], ids: dict[str, str]) -> None:
    for role in (tasks["gateway"].task_role, ""):
        with pytest.raises(TaskError) as raised:
            secret_environment(aws, replace(tasks["gateway"], execution_role=role))
        assert str(raised.value) == (
            f"service gateway: its execution role may not read {ids['Secret']} for KEY: "
            "grant secretsmanager:GetSecretValue on the secret"
        )


def test_the_grant_of_one_secret_is_none_of_another(aws: Api, tasks: dict[str, Task]) -> None:
    other = aws.client("secretsmanager").create_secret(Name="other", SecretString="o")["ARN"]
    with pytest.raises(TaskError, match=f"may not read {other} for OTHER"):
        secret_environment(aws, replace(tasks["gateway"], secrets={"OTHER": other}))


@pytest.mark.parametrize(
    ("text", "told"), [('{"a": 1}', "has no field api_key"), ("[1]", "has no field"), ("k", "is no JSON")]
)
def test_an_absent_field_is_named(aws: Api, tasks: dict[str, Task], ids: dict[str, str], text: str, told: str) -> None:
    secrets = aws.client("secretsmanager")
    before = secrets.get_secret_value(SecretId=ids["Secret"])["SecretString"]
    secrets.put_secret_value(SecretId=ids["Secret"], SecretString=text)
    try:
        with pytest.raises(TaskError, match=f"service gateway: the secret for KEY {told}"):
            secret_environment(aws, tasks["gateway"])
    finally:
        secrets.put_secret_value(SecretId=ids["Secret"], SecretString=before)


def test_a_secret_that_is_not_there_is_named(aws: Api, tasks: dict[str, Task], ids: dict[str, str]) -> None:
    gone = ids["Secret"][:-6] + "AbCdEf"
    iam, role = aws.client("iam"), ids["Execution"]
    everything = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
    iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=everything)
    try:
        with pytest.raises(TaskError, match=r"service gateway: the secret for KEY cannot be read: .*ResourceNotFound"):
            secret_environment(aws, replace(tasks["gateway"], secrets={"KEY": gone}))
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="all")


def test_a_secret_with_a_key_of_its_own_needs_leave_to_decrypt(aws: Api, tasks: dict[str, Task]) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    secret = aws.client("secretsmanager").create_secret(Name="sealed", SecretString="s", KmsKeyId=key)["ARN"]
    task, iam = tasks["gateway"], aws.client("iam")
    role = task.execution_role.rpartition("/")[2]
    reading = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "%s", "Resource": "*"}}'
    sealed = replace(task, secrets={"SEALED": secret})
    iam.put_role_policy(RoleName=role, PolicyName="read", PolicyDocument=reading % "secretsmanager:GetSecretValue")
    try:
        with pytest.raises(TaskError, match=f"may not decrypt the secret for SEALED: grant kms:Decrypt on {key}"):
            secret_environment(aws, sealed)
        iam.put_role_policy(RoleName=role, PolicyName="decrypt", PolicyDocument=reading % "kms:Decrypt")
        assert secret_environment(aws, sealed) == {"SEALED": "s"}
    finally:
        for policy in ("read", "decrypt"):
            iam.delete_role_policy(RoleName=role, PolicyName=policy)
