"""Say what is wrong with a deployment file: a finding is a value, nothing raises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Rank a finding: an error stops synth, a warning and a note do not."""

    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Name one fault: where in the file, what was got, what is allowed, what to change."""

    code: str
    path: str
    got: str
    allowed: str
    change: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.severity} {self.code} at {self.path}: got {self.got}, allowed is {self.allowed}; {self.change}"

    def as_dict(self) -> dict[str, str]:
        """Return the finding for ``--output json``."""
        return asdict(self)


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether any finding stops synth."""
    return any(finding.severity is Severity.ERROR for finding in findings)
