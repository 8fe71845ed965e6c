"""Cases of the rules about a gateway's bounds."""

from __future__ import annotations

from tandem.spec.findings import Severity
from tests.tandem.spec.cases import Case

ADMISSION = [
    Case(
        rule="scales_before_waiting",
        code="gateway-waits-before-scaling",
        path="gateway.admission.running",
        wrong={"gateway__admission": {"running": 79}},
        severity=Severity.WARNING,
    ),
    Case(
        rule="body_holds_context",
        code="body-smaller-than-prompt",
        path="gateway.admission.body_kib",
        wrong={"gateway__admission": {"body_kib": 16}, "model__max_model_len": 4096},
        severity=Severity.WARNING,
    ),
    Case(
        rule="prompt_fits_context",
        code="prompt-longer-than-context",
        path="gateway.admission.prompt_tokens",
        wrong={"gateway__admission": {"prompt_tokens": 4097}, "model__max_model_len": 4096},
    ),
    Case(
        rule="waits_within_request",
        code="wait-longer-than-request",
        path="gateway.admission.wait_seconds",
        wrong={"gateway__admission": {"wait_seconds": 11, "request_seconds": 10}},
        right={"gateway__admission": {"wait_seconds": 10, "request_seconds": 10}},
    ),
    Case(
        rule="tenant_tokens_allow_requests",
        code="tenant-tokens-below-requests",
        path="gateway.admission.tenant.tokens_per_minute",
        wrong={"gateway__admission": {"tenant": {"requests_per_minute": 60, "tokens_per_minute": 59}}},
        right={"gateway__admission": {"tenant": {"requests_per_minute": 60, "tokens_per_minute": 60}}},
        severity=Severity.WARNING,
    ),
    Case(
        rule="tenant_concurrency_divides",
        code="tenant-concurrency-below-tasks",
        path="gateway.admission.tenant.concurrency",
        wrong={"gateway__admission": {"tenant": {"concurrency": 3}}, "gateway__max_count": 4},
        right={"gateway__admission": {"tenant": {"concurrency": 4}}, "gateway__max_count": 4},
        severity=Severity.WARNING,
    ),
    Case(
        rule="bodies_hold_largest",
        code="bodies-smaller-than-body",
        path="gateway.admission.bodies_mib",
        wrong={"gateway__admission": {"bodies_mib": 16, "body_kib": 13108}},
        right={"gateway__admission": {"bodies_mib": 16, "body_kib": 13107}},
    ),
    Case(
        rule="memory_holds_bodies",
        code="bodies-exceed-memory",
        path="gateway.admission.bodies_mib",
        wrong={"gateway__admission": {"bodies_mib": 513}},
        right={"gateway__admission": {"bodies_mib": 512}},
        severity=Severity.WARNING,
    ),
]
