"""Read a gateway's bounds and its tenants' default limits, as the deployment file sets them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from runtime.gateway.admission.limits import Capacity, Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionConfig:
    """Hold the bounds; ``gateways`` is how many tasks there are at first. Defaults suit a gateway alone."""

    capacity: Capacity = field(default_factory=lambda: Capacity(running=256, waiting=128, wait_seconds=10.0))
    tenant: Limits = field(default_factory=Limits)
    gateways: int = 1
    body_bytes: int = 4 * 2**20
    bodies_bytes: int = 256 * 2**20
    prompt_tokens: int | None = None
    request_seconds: float = 3600.0

    @classmethod
    def load(cls, text: str) -> Self:
        """Read the section ``gateway.admission`` as JSON, with ``gateways`` added; raise ``ValueError``."""
        try:
            return cls._from(json.loads(text))
        except (LookupError, TypeError) as error:
            raise ValueError(f"it lacks or misuses {error}: gateway.admission as JSON is needed") from error

    @classmethod
    def _from(cls, section: Mapping[str, Any]) -> Self:
        names = ("running", "waiting", "wait_seconds")
        return cls(
            capacity=Capacity(**{name: section[name] for name in names}),
            tenant=Limits(**section["tenant"]),
            gateways=section["gateways"],
            body_bytes=section["body_kib"] * 1024,
            bodies_bytes=section["bodies_mib"] * 2**20,
            prompt_tokens=section["prompt_tokens"],
            request_seconds=section["request_seconds"],
        )

    def limits(self, own: Mapping[str, int], gateways: int) -> Limits:
        """Return one gateway's share of a tenant's limits: ``own`` by name, the defaults for the rest."""
        if not own:
            return self.tenant.among(gateways)
        default = {
            "requests_per_minute": self.tenant.requests_per_minute,
            "tokens_per_minute": self.tenant.tokens_per_minute,
            "concurrency": self.tenant.concurrency,
        }
        return Limits(**{**default, **own}).among(gateways)  # type: ignore[arg-type]
