"""Read the keys that the gateway checks and presents out of the values of their secrets; all pure."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.gateway.access import tenants
from runtime.gateway.access.tenants import Keyring, Tenant
from runtime.handoff import settings


def clients(values: Sequence[str]) -> Keyring:
    """Return the tenants of the current document, none before the first is added."""
    return Keyring(tenants.load(values[0]) if values else ())


def agentcore(values: Sequence[str]) -> Keyring:
    """Return AgentCore's tenant: the key before a rotation stays valid until the next, as AgentCore may hold it."""
    return Keyring([Tenant(id=tenants.AGENTCORE, keys=tuple(tenants.digest(_field(value)) for value in values))])


def endpoint(values: Sequence[str]) -> str:
    """Return the key that the decode endpoint's owner issued."""
    return _field(newest(values))


def newest(values: Sequence[str]) -> str:
    """Return the current value itself."""
    if not values or not values[0]:
        raise ValueError("it has no value yet")
    return values[0]


def workers(values: Sequence[str]) -> tuple[str, ...]:
    """Return the worker keys, newest first: a worker may have heard of a rotation sooner or later."""
    newest(values)
    return tuple(value for value in values if value)


def _field(text: str) -> str:
    key = settings.api_key(text)
    if key is None:
        raise ValueError(f"it has no field {settings.API_KEY_FIELD!r}: write one as JSON")
    return key
