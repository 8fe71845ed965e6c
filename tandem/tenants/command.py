"""Carry out ``tandem tenant``; a key is printed once, and stored nowhere."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from runtime.gateway.access.tenants import LIMITS, Tenant, digest
from runtime.handoff import settings
from tandem.doctor.aws import connect
from tandem.doctor.deployed import GATEWAY, output
from tandem.doctor.result import UndeterminedError
from tandem.spec.deployment import Deployment
from tandem.tenants import change
from tandem.tenants.change import TenantError
from tandem.tenants.store import Store

_KEY_BYTES: Final = 32
_KEY_ID_PREFIX: Final = "TANDEM"
_KEY_ID_BYTES: Final = 8


def tenant(deployment: Deployment, options: argparse.Namespace) -> int:
    """Do what the options say; return 0, or 1 with the reason on stderr."""
    try:
        aws = connect(deployment.region, options.profile)
        arn = output(aws, deployment, GATEWAY, settings.TENANTS_OUTPUT)
        store = Store(aws.client("secretsmanager"), arn)
        print("\n".join(_run(store, options)))
    except (TenantError, UndeterminedError, BotoCoreError, ClientError) as error:
        print(f"tandem tenant: {error}", file=sys.stderr)
        return 1
    return 0


def add(store: Store, tenant_id: str, limits: dict[str, int]) -> str:
    """Add a tenant and return its key."""
    key = secrets.token_urlsafe(_KEY_BYTES)
    store.change(partial(change.add, tenant_id=tenant_id, key_digest=digest(key), limits=limits))
    return key


def rotate(store: Store, tenant_id: str, *, at_once: bool) -> str:
    """Return another key for a tenant."""
    key = secrets.token_urlsafe(_KEY_BYTES)
    store.change(partial(change.rotate, tenant_id=tenant_id, key_digest=digest(key), at_once=at_once))
    return key


def sign(store: Store, tenant_id: str, *, at_once: bool) -> tuple[str, str]:
    """Return another access key id and secret access key for a tenant."""
    key_id, secret = _KEY_ID_PREFIX + secrets.token_hex(_KEY_ID_BYTES).upper(), secrets.token_urlsafe(_KEY_BYTES)
    store.change(partial(change.sign, tenant_id=tenant_id, access_key_id=key_id, secret=secret, at_once=at_once))
    return key_id, secret


def _run(store: Store, options: argparse.Namespace) -> Sequence[str]:
    match options.action:
        case "add":
            return [add(store, options.id, {name: value for name, value in _limits(options).items() if value})]
        case "limit":
            store.change(partial(change.limit, tenant_id=options.id, limits=_limits(options)))
            return _table([one for one in store.read() if one.id == options.id])
        case "rotate":
            return [rotate(store, options.id, at_once=options.at_once)]
        case "sign":
            key_id, secret = sign(store, options.id, at_once=options.at_once)
            return [f"AWS_ACCESS_KEY_ID={key_id}", f"AWS_SECRET_ACCESS_KEY={secret}"]
        case "revoke":
            store.change(partial(change.revoke, tenant_id=options.id))
            return [f"{options.id} is revoked"]
        case "remove":
            store.change(partial(change.remove, tenant_id=options.id))
            return [f"{options.id} is removed"]
        case _:
            found = store.read()
            return [json.dumps([_shown(one) for one in found], indent=2)] if options.output == "json" else _table(found)


def _limits(options: argparse.Namespace) -> dict[str, int | None]:
    """Return the limits that are named: None where the deployment's is to hold."""
    return {name: given or None for name in LIMITS if (given := getattr(options, name)) is not None}


def _shown(found: Tenant) -> dict[str, object]:
    return {
        "id": found.id,
        "state": found.state,
        "keys": len(found.keys),
        "signing": list(found.signing),
        "limits": dict(found.limits),
    }


def _table(tenants: Sequence[Tenant]) -> list[str]:
    rows = [("tenant", "state", "keys", "limits")]
    for found in tenants:
        limits = ", ".join(f"{name} {value}" for name, value in found.limits.items()) or "none"
        rows.append((found.id, found.state, str(len(found.keys)), limits))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
