"""Say what a rehearsal did: to a person as a table, to a machine as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tandem.rehearsal.clients.prompts import Answer


@dataclass(slots=True)
class Report:
    """Gather what happened; ``ok`` turns true only at the very end. Times are in seconds unless named otherwise."""

    deployment: str
    file: str
    ok: bool = False
    error: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    stacks: list[dict[str, Any]] = field(default_factory=list)
    second_deploy_changed: list[str] | None = None
    processes: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    functions: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    traces: int = 0
    prompts: list[dict[str, Any]] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    kills: list[dict[str, Any]] = field(default_factory=list)
    destroyed: bool = False
    retained: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def prompt_entry(answer: Answer, *, equal: bool) -> dict[str, Any]:
    """Return what the report holds of one answer."""
    return {
        "name": answer.prompt.name,
        "route": answer.route,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "kv_bytes": answer.kv_bytes,
        "tokens_equal_single_process": equal,
        "ttft_ms": answer.ttft_ms,
        "total_ms": answer.total_ms,
        "phases_ms": answer.phases_ms,
        "text": answer.text,
    }


def phase_table(answers: Sequence[Answer]) -> str:
    """Return a table: a row a prompt, its phases in milliseconds, which sum to the time to the first token."""
    phases = list(dict.fromkeys(name for answer in answers for name in answer.phases_ms))
    head = ["prompt", "tokens", "KV MB", *phases, "TTFT ms"]
    rows = [
        [
            answer.prompt.name,
            f"{answer.prompt_tokens}+{answer.completion_tokens}",
            f"{answer.kv_bytes / 1e6:.1f}",
            *(f"{answer.phases_ms.get(name, 0):.1f}" for name in phases),
            f"{answer.ttft_ms:.1f}",
        ]
        for answer in answers
    ]
    return table([head, *rows])


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_aligned(row, widths)) for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
