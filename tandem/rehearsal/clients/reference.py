"""Answer the same prompts in one process, without a handoff, to compare with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tandem.rehearsal.clients.prompts import Prompt
from tandem.rehearsal.errors import RehearsalError


class ReferenceRunError(RehearsalError):
    """Show why the single-process run failed."""


def single_process(root: Path, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Return for each prompt what the same engine answers alone: ``token_ids``, ``text``, ``prompt_tokens``."""
    requests = [
        {"messages": [{"role": "user", "content": prompt.text}], "max_tokens": prompt.max_tokens} for prompt in prompts
    ]
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-m", "runtime.standins.engine"],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        encoding="utf-8",
        cwd=root,
        check=False,
    )
    if done.returncode != 0:
        raise ReferenceRunError(f"the single-process run ended with status {done.returncode}: {done.stderr.strip()}")
    # not splitlines(), which also splits at separators that an answer's text may hold
    return [json.loads(line) for line in done.stdout.split("\n") if line]
