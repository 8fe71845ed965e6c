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
]
