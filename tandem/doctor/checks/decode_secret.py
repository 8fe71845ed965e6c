"""Check that the decode endpoint's key is in its secret."""

from __future__ import annotations

import json
from typing import Any

from runtime.handoff import settings
from tandem.doctor.aws import Aws
from tandem.doctor.deployed import DECODE, output
from tandem.doctor.result import Result, failed, passed
from tandem.spec.decode import VllmDecode
from tandem.spec.deployment import Deployment

_PLACEHOLDER = "to-be-replaced"
"""What the decode stack writes for the operator to replace."""
_CHANGE = "write the endpoint owner's key into the decode stack's secret, as JSON"


def check(deployment: Deployment, aws: Aws) -> Result:
    """Read the deployed secret; its values are never shown."""
    if isinstance(deployment.decode, VllmDecode):
        return passed("no secret: decode workers are the deployment's own")
    if api_key(deployment, aws) is None:
        return failed(f"{settings.API_KEY_FIELD} not filled in", _CHANGE)
    return passed(f"{settings.API_KEY_FIELD} filled in")


def read(deployment: Deployment, aws: Aws) -> dict[str, Any]:
    """Return the secret's fields, none where it is no JSON mapping; raise ``UndeterminedError`` before a deploy."""
    arn = output(aws, deployment, DECODE, settings.DECODE_SECRET_OUTPUT)
    text = aws.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}


def api_key(deployment: Deployment, aws: Aws) -> str | None:
    """Return the key that the endpoint asks for, or ``None`` where nobody filled it in."""
    key = read(deployment, aws).get(settings.API_KEY_FIELD)
    return key if isinstance(key, str) and key not in ("", _PLACEHOLDER) else None
