"""Decide what a change makes of the tenants; all pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from runtime.gateway.access.tenants import ACTIVE, AGENTCORE, ID, KEYS, REVOKED, Tenant

Tenants = tuple[Tenant, ...]
Change = Callable[[Tenants], Tenants]


class TenantError(ValueError):
    """Tell why a change cannot be made."""


def add(tenants: Tenants, tenant_id: str, key_digest: str, limits: Mapping[str, int]) -> Tenants:
    """Add a tenant with its first key; one that was revoked comes back, and none of its old keys does."""
    if not ID.fullmatch(tenant_id):
        raise TenantError(
            f"tenant id {tenant_id[:80]!r} is not allowed: lower-case letters, digits, hyphens, at most 63"
        )
    if tenant_id == AGENTCORE:
        raise TenantError(f"tenant id {AGENTCORE} is reserved for calls through AgentCore: choose another")
    if any(tenant.id == tenant_id and tenant.state == ACTIVE for tenant in tenants):
        raise TenantError(f"tenant {tenant_id} is there already: rotate its key, or revoke it first")
    added = Tenant(id=tenant_id, keys=(key_digest,), limits=dict(limits))
    return (*(tenant for tenant in tenants if tenant.id != tenant_id), added)


def rotate(tenants: Tenants, tenant_id: str, key_digest: str, *, at_once: bool) -> Tenants:
    """Give a tenant another key; the one before stays valid until the next rotation, unless ``at_once``."""
    tenant = _active(tenants, tenant_id)
    kept = () if at_once else tenant.keys[: KEYS - 1]
    return _with(tenants, dataclasses.replace(tenant, keys=(key_digest, *kept)))


def sign(tenants: Tenants, tenant_id: str, access_key_id: str, secret: str, *, at_once: bool) -> Tenants:
    """Give a tenant another pair to sign with; the one before stays valid until the next, unless ``at_once``."""
    tenant = _active(tenants, tenant_id)
    kept = {} if at_once else dict(list(tenant.signing.items())[1 - KEYS :])
    return _with(tenants, dataclasses.replace(tenant, signing={**kept, access_key_id: secret}))


def limit(tenants: Tenants, tenant_id: str, limits: Mapping[str, int | None]) -> Tenants:
    """Change limits of a tenant, those that are named; None: the deployment's holds again."""
    if not limits:
        raise TenantError(f"no limit of tenant {tenant_id[:80]} is named: name one, with a number or none")
    tenant = _active(tenants, tenant_id)
    kept = {name: value for name, value in {**tenant.limits, **limits}.items() if value is not None}
    return _with(tenants, dataclasses.replace(tenant, limits=kept))


def revoke(tenants: Tenants, tenant_id: str) -> Tenants:
    """Refuse every key and signature of a tenant from now on, and forget them; the tenant stays listed."""
    return _with(tenants, dataclasses.replace(_active(tenants, tenant_id), keys=(), signing={}, state=REVOKED))


def remove(tenants: Tenants, tenant_id: str) -> Tenants:
    """Forget a tenant, its keys and its limits; one that is active must be revoked before."""
    if any(tenant.id == tenant_id and tenant.state == ACTIVE for tenant in tenants):
        raise TenantError(f"tenant {tenant_id} is active: revoke it first")
    kept = tuple(tenant for tenant in tenants if tenant.id != tenant_id)
    if len(kept) == len(tenants):
        raise TenantError(f"there is no tenant {tenant_id[:80]}: tandem tenant list shows all")
    return kept


def _active(tenants: Tenants, tenant_id: str) -> Tenant:
    for tenant in tenants:
        if tenant.id == tenant_id and tenant.state == ACTIVE:
            return tenant
    known = ", ".join(tenant.id for tenant in tenants if tenant.state == ACTIVE) or "none"
    raise TenantError(f"there is no active tenant {tenant_id[:80]}: active are {known}")


def _with(tenants: Tenants, changed: Tenant) -> Tenants:
    return tuple(changed if tenant.id == changed.id else tenant for tenant in tenants)
