"""Sign requests to AWS with the task role's credentials (Signature Version 4), by the standard library alone.

The base image is not ours, so nothing is taken for granted of the AWS programs in it. Signatures are held by tests
against botocore's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Final
from urllib.parse import quote, urlsplit

_AGENT: Final = "http://169.254.170.2"
"""Where the ECS agent hands out a task's credentials."""
_TIMEOUT_SECONDS: Final = 5.0


class CredentialsError(RuntimeError):
    """Tell why the task role's credentials could not be had."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """Hold temporary credentials."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Say for which service, where, when and by whom a request is signed."""

    service: str
    region: str
    keys: Credentials
    now: datetime


def credentials(environment: Mapping[str, str]) -> Credentials:
    """Ask the ECS agent for the task role's credentials; raise ``CredentialsError``."""
    relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    url = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") or (relative and _AGENT + relative)
    if not url:
        raise CredentialsError("no AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: the task definition needs a task role")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the agent is on this host
    try:
        with direct.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            given = json.load(answer)
        return Credentials(access_key=given["AccessKeyId"], secret_key=given["SecretAccessKey"], token=given["Token"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise CredentialsError(f"no credentials from {url}: {type(error).__name__}: {error}") from error


def signed(
    method: str,
    url: str,
    query: Mapping[str, str],
    body: bytes = b"",
    *,
    service: str,
    region: str,
    keys: Credentials,
    now: datetime | None = None,
) -> urllib.request.Request:
    """Return a request of ``url`` with ``query``; ``url`` has no query of its own and an unquoted path."""
    parts = urlsplit(url)
    path = quote(parts.path, safe="/-_.~")
    asked = "&".join(f"{_escape(name)}={_escape(value)}" for name, value in sorted(query.items()))
    digest = hashlib.sha256(body).hexdigest()
    named = {"host": parts.netloc, "x-amz-content-sha256": digest}
    headers = _signed(method, path, asked, named, digest, Place(service, region, keys, now or datetime.now(UTC)))
    whole = f"{parts.scheme}://{parts.netloc}{path}" + (f"?{asked}" if asked else "")
    if body:
        headers["content-type"] = "application/octet-stream"  # urllib would call it a form
    data = body if body or method in ("POST", "PUT") else None
    return urllib.request.Request(whole, data, headers, method=method)  # noqa: S310 - the endpoint of an AWS service


def signed_call(
    url: str,
    body: bytes,
    *,
    target: str,
    service: str,
    region: str,
    keys: Credentials,
    now: datetime | None = None,
) -> urllib.request.Request:
    """Return a call of a JSON 1.1 service at ``url``, which has no path; ``target`` names the operation."""
    named = {"content-type": "application/x-amz-json-1.1", "host": urlsplit(url).netloc, "x-amz-target": target}
    place = Place(service, region, keys, now or datetime.now(UTC))
    headers = _signed("POST", "/", "", named, hashlib.sha256(body).hexdigest(), place)
    return urllib.request.Request(f"{url.rstrip('/')}/", body, headers)  # noqa: S310 - as above


def _signed(
    method: str, path: str, query: str, named: Mapping[str, str], body_sha256: str, place: Place
) -> dict[str, str]:
    """Return every header of a request: those ``named``, and the signature over them."""
    time = place.now.strftime("%Y%m%dT%H%M%SZ")
    headers = dict(sorted({**named, "x-amz-date": time, "x-amz-security-token": place.keys.token}.items()))
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    names = ";".join(headers)
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{body_sha256}"
    scope = f"{time[:8]}/{place.region}/{place.service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(_signing_key(place.keys.secret_key, scope), text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={place.keys.access_key}/{scope}"
    return {
        **headers,
        "authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}",
    }


def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _escape(text: str) -> str:
    return quote(text, safe="-_.~")
