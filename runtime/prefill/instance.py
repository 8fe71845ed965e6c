"""Ask the EC2 instance metadata service (IMDSv2) for the host's own address."""

from __future__ import annotations

import ipaddress
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final

ENDPOINT_VARIABLE: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
"""The AWS SDKs' own name for the service's base URL."""
_ENDPOINT: Final = "http://169.254.169.254"
_TIMEOUT_SECONDS: Final = 5.0
_LIFETIME_SECONDS: Final = "60"


class MetadataError(RuntimeError):
    """Tell why instance metadata could not be had."""


def local_ipv4(environment: Mapping[str, str]) -> str:
    """Return the primary private IPv4 address of the instance; raise ``MetadataError``."""
    base = (environment.get(ENDPOINT_VARIABLE) or _ENDPOINT).rstrip("/")
    try:
        token = _fetch("PUT", f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": _LIFETIME_SECONDS})
        address = _fetch("GET", f"{base}/latest/meta-data/local-ipv4", {"X-aws-ec2-metadata-token": token})
        return str(ipaddress.IPv4Address(address))
    except (OSError, HTTPException, ValueError) as error:
        raise MetadataError(
            f"no local-ipv4 from the instance metadata service at {base}: {type(error).__name__}: {error}"
        ) from error


def _fetch(method: str, url: str, headers: Mapping[str, str]) -> str:
    request = urllib.request.Request(url, method=method, headers=dict(headers))  # noqa: S310 - the service's own address
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would answer for another host
    with direct.open(request, timeout=_TIMEOUT_SECONDS) as answer:
        body: bytes = answer.read()
    return body.decode("ascii").strip()
