"""Ask the EC2 instance metadata service (IMDSv2) what only the host knows: its address and its id."""

from __future__ import annotations

import ipaddress
import re
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final

ENDPOINT_VARIABLE: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
"""The AWS SDKs' own name for the service's base URL."""
_ENDPOINT: Final = "http://169.254.169.254"
_TIMEOUT_SECONDS: Final = 5.0
_LIFETIME_SECONDS: Final = "60"
_ID: Final = re.compile(r"i-[0-9a-f]+")


class MetadataError(RuntimeError):
    """Tell why instance metadata could not be had."""


def local_ipv4(environment: Mapping[str, str]) -> str:
    """Return the primary private IPv4 address of the instance; raise ``MetadataError``."""
    given = _read(environment, "local-ipv4")
    try:
        return str(ipaddress.IPv4Address(given))
    except ValueError as error:
        raise MetadataError(f"local-ipv4 of the instance metadata service is {given!r}: {error}") from error


def instance_id(environment: Mapping[str, str]) -> str:
    """Return the instance's id; raise ``MetadataError``."""
    given = _read(environment, "instance-id")
    if not _ID.fullmatch(given):
        raise MetadataError(f"instance-id of the instance metadata service is {given!r}: i-… is needed")
    return given


def _read(environment: Mapping[str, str], name: str) -> str:
    base = (environment.get(ENDPOINT_VARIABLE) or _ENDPOINT).rstrip("/")
    try:
        token = _fetch("PUT", f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": _LIFETIME_SECONDS})
        return _fetch("GET", f"{base}/latest/meta-data/{name}", {"X-aws-ec2-metadata-token": token})
    except (OSError, HTTPException, ValueError) as error:
        raise MetadataError(
            f"no {name} from the instance metadata service at {base}: {type(error).__name__}: {error}"
        ) from error


def _fetch(method: str, url: str, headers: Mapping[str, str]) -> str:
    request = urllib.request.Request(url, method=method, headers=dict(headers))  # noqa: S310 - the service's own address
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would answer for another host
    with direct.open(request, timeout=_TIMEOUT_SECONDS) as answer:
        body: bytes = answer.read()
    return body.decode("ascii").strip()
