"""Ask each decode endpoint whether it is there and serves the model."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final

import boto3

from runtime.handoff import contract, emf, metrics, settings
from runtime.handoff.settings import SettingError, required, required_list

_TIMEOUT_SECONDS: Final = 5.0
_MAX_ANSWER_BYTES: Final = 2**20


class ProbeError(Exception):
    """Tell why the endpoint counts as down; never holds the key."""


def handler(event: object, context: object) -> dict[str, Any]:
    """Return ``{"up": bool, "reason": str, "latency_ms": float}``, and log the metric for CloudWatch.

    One endpoint that is down makes ``up`` false, and is a result; a wrong environment or secret raises
    ``SettingError``, since nobody could tell the two apart from a metric. Access denied is raised by boto3.
    """
    endpoints = required_list(os.environ, settings.DECODE_ENDPOINTS)
    model = required(os.environ, settings.DECODE_MODEL)
    deployment = required(os.environ, settings.DEPLOYMENT)
    key = _key(required(os.environ, settings.DECODE_SECRET_ARN))
    start = time.perf_counter()
    failures = [failure for each in endpoints if (failure := _failure(each.rstrip("/"), key, model))]
    up, reason = not failures, "; ".join(failures) or "ok"
    latency_ms = round((time.perf_counter() - start) * 1000, 3)
    said = {"reason": reason, "latency_ms": latency_ms}
    values = {metrics.DECODE_ENDPOINT_UP: int(up)}
    print(emf.line(values, dimensions={metrics.DEPLOYMENT: deployment}, began=time.time(), model=model, **said))
    return {"up": up, **said}


def _failure(endpoint: str, key: str, model: str) -> str | None:
    try:
        _check(endpoint + contract.MODELS, key, model)
    except ProbeError as error:
        return f"{endpoint}: {error}"
    return None


def _check(url: str, key: str, model: str) -> None:
    listed = _models(_get(url, key))
    if model not in listed:
        raise ProbeError(f"model {model!r} is not listed, these are: {', '.join(sorted(listed))[:200]}")


def _get(url: str, key: str) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - checked at synth
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
            body: bytes = answer.read(_MAX_ANSWER_BYTES)
            return body
    except urllib.error.HTTPError as error:
        error.close()
        raise ProbeError(f"status {error.code}") from error
    except (OSError, HTTPException) as error:  # no route, no name, no trust in the certificate, too slow, no HTTP
        raise ProbeError(f"{type(error).__name__}: {getattr(error, 'reason', error)}") from error
    except ValueError:
        raise ProbeError("endpoint or key cannot be sent by HTTP") from None  # the cause would quote the key


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuse redirects: one would take the key to a host that nobody configured."""

    def redirect_request(self, *_: object) -> None:
        return None


def _models(body: bytes) -> set[str]:
    try:
        return {str(entry["id"]) for entry in json.loads(body)["data"]}
    except (ValueError, LookupError, TypeError) as error:
        raise ProbeError("the answer is no list of models") from error


def _key(secret_arn: str) -> str:
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=secret_arn)["SecretString"]
    key = settings.api_key(secret)
    if key is None:
        raise SettingError(f"secret {secret_arn} has no field {settings.API_KEY_FIELD!r}: write one as JSON") from None
    return key
