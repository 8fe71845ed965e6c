"""Find the ARN of the resource that a request names, where the request makes it evident."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.kms.models import kms_backends
from moto.secretsmanager.models import secretsmanager_backends

from tandem.rehearsal.cloud.requests import AwsRequest


def resource_of(request: AwsRequest, account: str) -> str | None:
    """Return the ARN of what the request is about; None if it does not say, or names what does not exist."""
    find = _FINDERS.get(request.action.partition(":")[0])
    return find(request.parameters, account, request.region) if find else None


def _secret(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    wanted = parameters.get("SecretId")
    secrets = secretsmanager_backends[account][region].secrets
    found = secrets.get(wanted) if wanted is not None and wanted in secrets else None
    return str(found.arn) if found else None


def _bucket(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    del account, region  # a bucket's ARN has neither
    if "Bucket" not in parameters:
        return None
    key = f"/{parameters['Key']}" if "Key" in parameters else ""
    return f"arn:aws:s3:::{parameters['Bucket']}{key}"


def _key(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    wanted = parameters.get("KeyId")
    if wanted is None:
        return None
    backend = kms_backends[account][region]
    found = backend.keys.get(backend.any_id_to_key_id(wanted))
    return str(found.arn) if found else None


def _function(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    wanted = parameters.get("FunctionName")
    if wanted is None or wanted.startswith("arn:"):
        return wanted
    return f"arn:aws:lambda:{region}:{account}:function:{wanted}"


def _parameter(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    wanted = parameters.get("Name")
    if wanted is None or wanted.startswith("arn:"):
        return wanted
    return f"arn:aws:ssm:{region}:{account}:parameter/{wanted.lstrip('/')}"


def _auto_scaling_group(parameters: Mapping[str, Any], account: str, region: str) -> str | None:
    groups = autoscaling_backends[account][region].autoscaling_groups.values()
    name, host = parameters.get("AutoScalingGroupName"), parameters.get("InstanceId")
    for group in groups:
        if group.name == name or any(state.instance.id == host for state in group.instance_states):
            return str(group.arn)
    return None


_FINDERS: dict[str, Callable[[Mapping[str, Any], str, str], str | None]] = {
    "autoscaling": _auto_scaling_group,
    "secretsmanager": _secret,
    "s3": _bucket,
    "kms": _key,
    "lambda": _function,
    "ssm": _parameter,
}
