"""Say what a check found: it passes, it fails, or nobody can tell from here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Judge one check; UNKNOWN means that it could not be determined, and is neither good nor bad."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Result:
    """Hold a verdict, what was found, and what to change; a PASS asks for no change."""

    verdict: Verdict
    found: str
    change: str = ""


class UndeterminedError(Exception):
    """Tell why a check has no verdict, and what would give it one."""

    def __init__(self, reason: str, change: str) -> None:
        super().__init__(reason)
        self.change = change


def passed(found: str) -> Result:
    """Return a PASS."""
    return Result(Verdict.PASS, found)


def failed(found: str, change: str) -> Result:
    """Return a FAIL with what to change."""
    return Result(Verdict.FAIL, found, change)
