"""Say what a case of a rule is."""

from __future__ import annotations

from dataclasses import dataclass, field

from tandem.spec.findings import Severity


@dataclass(frozen=True, kw_only=True)
class Case:
    """Name one fault and the nearest file without it."""

    rule: str
    code: str
    path: str
    wrong: dict[str, object]
    right: dict[str, object] = field(default_factory=dict)
    provider: str = "cs3"
    severity: Severity = Severity.ERROR
