"""Cases of the rules on how workers start and leave."""

from __future__ import annotations

from tandem.spec.findings import Severity
from tests.tandem.spec.cases import Case

START = [
    Case(
        rule="warm_start_within_start",
        code="warm-start-exceeds-start",
        path="prefill.warm_start_seconds",
        wrong={"prefill__start_seconds": 900, "prefill__warm_start_seconds": 901},
        right={"prefill__start_seconds": 900, "prefill__warm_start_seconds": 900},
    ),
    Case(
        rule="lease_within_drain",
        code="lease-exceeds-drain",
        path="prefill.kv_lease_seconds",
        wrong={"prefill__kv_lease_seconds": 106},
        right={"prefill__kv_lease_seconds": 105},
        severity=Severity.WARNING,
    ),
    Case(
        rule="lease_within_drain",
        code="lease-exceeds-drain",
        path="prefill.kv_lease_seconds",
        wrong={"prefill__groups__0__capacity": {"mode": "spot"}, "prefill__kv_lease_seconds": 76},
        right={"prefill__groups__0__capacity": {"mode": "spot"}, "prefill__kv_lease_seconds": 75},
        severity=Severity.WARNING,
    ),
]
