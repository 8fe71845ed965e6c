"""Check that the decode endpoint's keys are in its secret."""

from __future__ import annotations

import json
from typing import Any

from runtime.handoff import settings
from tandem.doctor.aws import Aws
from tandem.doctor.deployed import DECODE, physical_ids
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.deployment import Deployment, VllmDecode

_PLACEHOLDER = "to-be-replaced"
"""What the decode stack writes for the operator to replace."""
_CHANGE = "write the endpoint owner's keys into the decode stack's secret, as JSON"


def check(deployment: Deployment, aws: Aws) -> Result:
    """Read the deployed secret; its values are never shown."""
    if isinstance(deployment.decode, VllmDecode):
        return passed("no secret: decode workers are the deployment's own")
    keys = read(deployment, aws)
    needed = [settings.API_KEY_FIELD, *([settings.TICKET_KEY_FIELD] if deployment.prefill else [])]
    empty = [name for name in needed if keys.get(name) in (None, "", _PLACEHOLDER)]
    if empty:
        return failed(f"{' and '.join(empty)} not filled in", _CHANGE)
    return passed(f"{' and '.join(needed)} filled in")


def read(deployment: Deployment, aws: Aws) -> dict[str, Any]:
    """Return the secret's fields, none where it is no JSON mapping; raise ``UndeterminedError`` before a deploy."""
    arns = physical_ids(aws, deployment, DECODE, "AWS::SecretsManager::Secret")
    if not arns:
        raise UndeterminedError("the decode stack has no secret yet", "finish the deploy, then ask again")
    text = aws.client("secretsmanager").get_secret_value(SecretId=arns[0])["SecretString"]
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}


def api_key(deployment: Deployment, aws: Aws) -> str | None:
    """Return the key that the endpoint asks for, or ``None`` where nobody filled it in."""
    key = read(deployment, aws).get(settings.API_KEY_FIELD)
    return key if isinstance(key, str) and key not in ("", _PLACEHOLDER) else None
