"""Tell by the key that a client presents which tenant it is; of keys, only digests are stored.

The document is JSON in one Secrets Manager secret, written by ``tandem tenant``::

    {"tenants": {"acme": {"state": "active", "keys": ["<sha256>", …], "limits": {"requests_per_minute": 60},
                          "signing": {"<access key id>": "<secret access key>"}}}}

A key is 256 random bits, which no dictionary holds, so its plain SHA-256 is as good as a slow hash. A signature can be
checked only with the secret that made it, so the secrets of tenants that sign their requests stand here as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What a tenant may be called: it stands in tickets, logs and metrics."""
KEYS: Final = 2
"""Keys of a tenant that are valid at once: the new one and the one before, so that a rotation has no gap."""
LIMITS: Final = ("requests_per_minute", "tokens_per_minute", "concurrency", "weight")
ACTIVE: Final = "active"
REVOKED: Final = "revoked"
AGENTCORE: Final = "agentcore"
"""The tenant that calls through AgentCore; its key has a secret of its own, since AgentCore reads it from there."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tenant:
    """Hold one tenant: digests of its keys, newest first, and its limits by name (absent: the deployment's).

    ``signing`` holds secret access keys by access key id, oldest first.
    """

    id: str
    keys: tuple[str, ...]
    state: str = ACTIVE
    limits: Mapping[str, int] = field(default_factory=dict)
    signing: Mapping[str, str] = field(default_factory=dict, repr=False)


def digest(key: str) -> str:
    """Return the SHA-256 of a key, in hexadecimal."""
    return _sha256(key).hexdigest()


class Keyring:
    """Know active tenants by what they present, however many there are; made once for each document.

    Digests are looked up, not compared in constant time: how long it takes could tell of nothing but the digest of a
    guess, from which no key follows.
    """

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        active = [tenant for tenant in tenants if tenant.state == ACTIVE]
        self.keys: Final = {bytes.fromhex(known): tenant for tenant in active for known in tenant.keys}
        """Tenants by the digests of their keys."""
        self.signers: Final = {key: (tenant, secret) for tenant in active for key, secret in tenant.signing.items()}
        """Tenants, with the secret, by the access key id with which they sign."""


def identify(key: str, keyrings: Iterable[Keyring]) -> Tenant | None:
    """Return the active tenant whose key this is."""
    given = _sha256(key).digest()
    for ring in keyrings:
        if tenant := ring.keys.get(given):
            return tenant
    return None


def _sha256(key: str) -> hashlib._Hash:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape"))


def load(text: str) -> tuple[Tenant, ...]:
    """Read the secret's document; raise ``ValueError``, which quotes nothing but names and ids."""
    try:
        entries = json.loads(text)["tenants"]
        return tuple(_tenant(str(name), entry) for name, entry in entries.items())
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError('the document of tenants is not of the form {"tenants": {id: {…}}}') from error


def dump(tenants: Iterable[Tenant]) -> str:
    """Return the document of some tenants."""
    entries = {
        tenant.id: {
            "state": tenant.state,
            "keys": list(tenant.keys),
            "limits": dict(tenant.limits),
            **({"signing": dict(tenant.signing)} if tenant.signing else {}),
        }
        for tenant in sorted(tenants, key=lambda tenant: tenant.id)
    }
    return json.dumps({"tenants": entries}, separators=(",", ":"))


def _tenant(name: str, entry: Mapping[str, Any]) -> Tenant:
    keys, state, limits = entry["keys"], entry["state"], entry.get("limits", {})
    if not ID.fullmatch(name):
        raise ValueError(f"tenant id {name[:80]!r} is not allowed: letters, digits and hyphens, at most 63")
    if state not in (ACTIVE, REVOKED):
        raise ValueError(f"tenant {name} has a state other than {ACTIVE} and {REVOKED}")
    if len(keys) > KEYS or not all(isinstance(key, str) and _DIGEST.fullmatch(key) for key in keys):
        raise ValueError(f"tenant {name} has keys other than at most {KEYS} SHA-256 digests")
    unknown = [limit for limit in limits if limit not in LIMITS]
    if unknown or not all(type(value) is int and value > 0 for value in limits.values()):
        raise ValueError(f"tenant {name} has limits other than positive whole numbers of {', '.join(LIMITS)}")
    signing = entry.get("signing", {})
    if len(signing) > KEYS or not all(isinstance(secret, str) and secret for secret in signing.values()):
        raise ValueError(f"tenant {name} has signing credentials other than at most {KEYS} ids with their secrets")
    return Tenant(id=name, keys=tuple(keys), state=state, limits=dict(limits), signing=dict(signing))
