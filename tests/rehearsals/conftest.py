"""Run whole rehearsals: of the checkout itself, or of a copy with something taken out of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import LONG_SECONDS

ROOT = Path(__file__).parents[2]
_PARTS = ("app.py", "cdk.json", "constructs", "deployments", "LICENSE", "package.json", "runtime", "stacks", "tandem")


class Checkout:
    """Hold a folder with a copy of what a rehearsal needs, to be changed at will."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in _PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, root / part)
        (root / "node_modules").symlink_to(ROOT / "node_modules")

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace the one place in ``file`` that reads ``old``."""
        path = self.root / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``tandem`` on this copy, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "tandem.cli", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, seconds: float = LONG_SECONDS) -> tuple[int, str]:
        """Run ``tandem`` to its end; return the exit status and what it printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output

    def report(self) -> dict[str, Any]:
        """Return the report of the last rehearsal."""
        report: dict[str, Any] = json.loads((self.root / ".rehearsal" / "report.json").read_text())
        return report

    def left_running(self) -> list[str]:
        """Return the command lines of processes that still work in this copy's folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                here = os.readlink(entry / "cwd")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if here.startswith(str(self.root)) and int(entry.name) != os.getpid():
                found.append(line)
        return found


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def interrupt() -> Callable[[subprocess.Popen[str]], None]:
    """Press Ctrl-C in the terminal of a process."""
    return lambda process: os.killpg(process.pid, signal.SIGINT)
