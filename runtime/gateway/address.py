"""Find the address that the gateway listens on."""

from __future__ import annotations

import ipaddress
import json
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final

METADATA_VARIABLE: Final = "ECS_CONTAINER_METADATA_URI_V4"
"""Set by the ECS agent in each container."""
EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - outside ECS the caller's network decides who may connect
_TIMEOUT_SECONDS: Final = 5.0


class MetadataError(RuntimeError):
    """Tell why ECS task metadata could not be had."""


def listen_address(environment: Mapping[str, str]) -> str:
    """Return the task's own IPv4 address, or every address outside ECS; raise ``MetadataError``.

    A task has an address of its own; to listen on it alone keeps the gateway off any other network of the host.
    """
    base = environment.get(METADATA_VARIABLE)
    return _own_address(f"{base}/task") if base else EVERY_ADDRESS


def _own_address(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - given by the ECS agent
            task = json.load(answer)
        address = task["Containers"][0]["Networks"][0]["IPv4Addresses"][0]
        return str(ipaddress.IPv4Address(address))
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        raise MetadataError(f"no address in ECS task metadata at {url}: {type(error).__name__}: {error}") from error
