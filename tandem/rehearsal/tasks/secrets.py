"""Give a task its secrets as the ECS agent does: with the execution role's permission, or not at all."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.key_policy import admits
from tandem.rehearsal.cloud.permissions import allowed
from tandem.rehearsal.tasks.hosts import TaskError
from tandem.rehearsal.tasks.task import Task

_ARN_PARTS = 7


def secret_environment(aws: Api, task: Task) -> dict[str, str]:
    """Return the task's secret variables; raise ``TaskError`` where the role may not read one or a field is absent."""
    return {name: _value(aws, task, name, source) for name, source in task.secrets.items()}


def secret_arn(source: str) -> str:
    """Return the secret's ARN of a ``valueFrom``: ``arn:…:secret:name-suffix[:field[:stage[:version]]]``."""
    return ":".join(source.split(":")[:_ARN_PARTS])


def secret_field(source: str) -> str:
    """Return the JSON field of a ``valueFrom``, empty for the whole secret."""
    return (source.split(":") + [""] * _ARN_PARTS)[_ARN_PARTS]


def _value(aws: Api, task: Task, name: str, source: str) -> str:
    arn = secret_arn(source)
    if not task.execution_role or not allowed(task.execution_role, "secretsmanager:GetSecretValue", arn):
        raise TaskError(
            f"service {task.service}: its execution role may not read {arn} for {name}: "
            "grant secretsmanager:GetSecretValue on the secret"
        )
    _require_key(aws, task, name, arn)
    try:
        text: str = aws.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    except ClientError as error:
        raise TaskError(f"service {task.service}: the secret for {name} cannot be read: {error}") from error
    field = secret_field(source)
    return text if not field else _field(text, field, task, name)


def _require_key(aws: Api, task: Task, name: str, arn: str) -> None:
    """Raise ``TaskError`` unless the task may have the secret decrypted by its customer managed key, if it has one."""
    region, account = arn.split(":")[3:5]
    try:
        key = aws.client("secretsmanager").describe_secret(SecretId=arn).get("KmsKeyId")
    except ClientError as error:
        raise TaskError(f"service {task.service}: the secret for {name} cannot be read: {error}") from error
    if not key:
        return
    through = {"kms:ViaService": f"secretsmanager.{region}.amazonaws.com", "kms:CallerAccount": account}
    if not admits(aws, key, "kms:Decrypt", context=through) and not allowed(task.execution_role, "kms:Decrypt", key):
        raise TaskError(
            f"service {task.service}: its execution role may not decrypt the secret for {name}: "
            f"grant kms:Decrypt on {key}, or admit Secrets Manager in the key's policy"
        )


def _field(text: str, field: str, task: Task, name: str) -> str:
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise TaskError(f"service {task.service}: the secret for {name} is no JSON: write {field} into it") from error
    if not isinstance(document, dict) or field not in document:
        raise TaskError(f"service {task.service}: the secret for {name} has no field {field}: write it into the secret")
    return str(document[field])
