"""Rotate a secret that holds a key of our own making, in the four steps of Secrets Manager.

Whoever uses the key reads the secret while it runs and takes the key before as well, so nobody has to be told of a
new one, and none that is in use is ever refused. ``TANDEM_SECRET_FIELD`` names the field where the secret is JSON.

Each step may come twice, or after a failure half-way: it looks at what is there before it changes anything.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from runtime.handoff import settings

_CURRENT: Final = "AWSCURRENT"
_PENDING: Final = "AWSPENDING"
_KEY_BYTES: Final = 48

Event = Mapping[str, str]


class RotationError(RuntimeError):
    """Tell why a step cannot be done; Secrets Manager tries the rotation again."""


def handler(event: Event, _: object) -> None:
    """Do one step of a rotation; raise ``RotationError``, or what boto3 raises."""
    client = boto3.client("secretsmanager")
    secret, token = event["SecretId"], event["ClientRequestToken"]
    stages = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
    if _CURRENT in stages.get(token, []):
        return  # this rotation is over; a late repetition must not begin another
    if _PENDING not in stages.get(token, []):
        raise RotationError(f"version {token} is not {_PENDING}: this is no rotation that is under way")
    match event["Step"]:
        case "createSecret":
            _create(client, secret, token)
        case "setSecret":
            pass  # its users read the secret themselves
        case "testSecret":
            _key_of(_value(client, secret, VersionId=token))
        case "finishSecret":
            _finish(client, secret, token, stages)
        case step:
            raise RotationError(f"step is {step!r:.40}: createSecret, setSecret, testSecret or finishSecret is needed")


def _create(client: Any, secret: str, token: str) -> None:
    if _value(client, secret, VersionId=token) is not None:
        return
    key, field = secrets.token_urlsafe(_KEY_BYTES), os.environ.get(settings.SECRET_FIELD)
    document = json.loads(_value(client, secret, VersionStage=_CURRENT) or "{}") if field else {}
    text = json.dumps({**document, field: key}) if field else key
    client.put_secret_value(SecretId=secret, ClientRequestToken=token, SecretString=text, VersionStages=[_PENDING])


def _finish(client: Any, secret: str, token: str, stages: Mapping[str, list[str]]) -> None:
    current = next((version for version, at in stages.items() if _CURRENT in at), None)
    moved = {"RemoveFromVersionId": current} if current else {}
    client.update_secret_version_stage(SecretId=secret, VersionStage=_CURRENT, MoveToVersionId=token, **moved)


def _value(client: Any, secret: str, **which: str) -> str | None:
    try:
        value: str = client.get_secret_value(SecretId=secret, **which)["SecretString"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return None
    return value


def _key_of(text: str | None) -> str:
    """Return the key in a value; raise ``RotationError``, which does not quote it."""
    field = os.environ.get(settings.SECRET_FIELD)
    try:
        key = json.loads(text or "")[field] if field else text
    except (ValueError, LookupError, TypeError):
        key = None
    if not isinstance(key, str) or not key:
        # without "from": the cause would quote the secret
        raise RotationError(f"the pending version holds no key{f' in field {field!r}' if field else ''}") from None
    return key
