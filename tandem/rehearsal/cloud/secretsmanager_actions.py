"""Secrets Manager's rotation, which moto ends well whatever its function says."""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import Any

from moto.awslambda.utils import get_backend
from moto.secretsmanager.exceptions import InvalidRequestException, ResourceNotFoundException
from moto.secretsmanager.models import SecretsManagerBackend

log = logging.getLogger("tandem.rehearsal.cloud")

_CURRENT, _PENDING = "AWSCURRENT", "AWSPENDING"
_STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_DAY_SECONDS = 86400


def rotate_secret(
    self: SecretsManagerBackend,
    secret_id: str,
    client_request_token: str | None = None,
    rotation_lambda_arn: str | None = None,
    rotation_rules: dict[str, Any] | None = None,
    rotate_immediately: bool = True,
) -> str:
    """Set up rotation, and rotate at once unless told not to: four steps, of which one that fails is the last.

    A rotation that failed stays pending, and the next call takes it up again, as AWS does by itself. Here the call
    ends when the rotation does; AWS answers at once.
    """
    secret: Any = self.secrets[secret_id]  # moto's, or a replica's, which takes no rotation
    secret.rotation_lambda_arn = rotation_lambda_arn or secret.rotation_lambda_arn or ""
    if not secret.rotation_lambda_arn:
        raise InvalidRequestException("No Lambda rotation function ARN is associated with this secret.")
    _invocable(self, secret.rotation_lambda_arn)
    if rotation_rules:
        secret.auto_rotate_after_days = int(rotation_rules.get("AutomaticallyAfterDays", 0))
        secret.next_rotation_date = int(time.time()) + secret.auto_rotate_after_days * _DAY_SECONDS
    secret.rotation_enabled = secret.rotation_requested = True
    if not rotate_immediately:
        return str(secret.to_short_dict())
    token = _pending(secret) or client_request_token or str(uuid.uuid4())
    empty = {"createdate": int(time.time()), "version_id": token, "version_stages": [_PENDING]}
    secret.versions.setdefault(token, empty)
    if all(_step(self, secret, step, token) for step in _STEPS):
        secret.versions[token]["version_stages"] = [_CURRENT]
        secret.last_rotation_date = int(time.time())
    answer = {"ARN": secret.arn, "Name": secret.name, "VersionId": token}
    return json.dumps(answer)


def update_secret_version_stage(
    self: SecretsManagerBackend,
    secret_id: str,
    version_stage: str,
    remove_from_version_id: str,
    move_to_version_id: str,
) -> Any:
    """Move a label, and with AWSCURRENT the version that is read by default, which moto leaves where it was."""
    moved = _moto_update(self, secret_id, version_stage, remove_from_version_id, move_to_version_id)
    if version_stage == _CURRENT and move_to_version_id:
        secret: Any = self.secrets[secret_id]
        secret.set_default_version_id(move_to_version_id)
    return moved


_moto_update = SecretsManagerBackend.update_secret_version_stage


def _pending(secret: Any) -> str | None:
    """Return the version of a rotation that has not ended."""
    for version, entry in secret.versions.items():
        if _PENDING in entry["version_stages"] and _CURRENT not in entry["version_stages"]:
            return str(version)
    return None


def _step(backend: SecretsManagerBackend, secret: Any, step: str, token: str) -> bool:
    event = {"Step": step, "SecretId": secret.arn, "ClientRequestToken": token}
    told: dict[str, Any] = {}
    functions = get_backend(backend.account_id, backend.region_name)
    answer = functions.invoke(
        secret.rotation_lambda_arn, qualifier=None, body=json.dumps(event), headers={}, response_headers=told
    )
    if "x-amz-function-error" in told:
        log.warning("rotation of %s failed in %s: %s", secret.name, step, answer)
        return False
    return True


def _invocable(backend: SecretsManagerBackend, arn: str) -> None:
    """Raise unless Secrets Manager may invoke the function: by the function's own policy, as AWS checks."""
    try:
        function = get_backend(backend.account_id, backend.region_name).get_function(arn)
    except Exception as error:  # of moto's many
        raise ResourceNotFoundException(f"there is no function {arn}") from error
    if not any("secretsmanager.amazonaws.com" in json.dumps(one["Principal"]) for one in function.policy.statements):
        raise InvalidRequestException(f"Secrets Manager cannot invoke {arn}: add a permission for it")
